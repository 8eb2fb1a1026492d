//! What the API answers: field names are the key names of the command line, sizes in GB and vCPU, times in RFC 3339.

use serde::{Deserialize, Serialize};

use crate::Usage;

macro_rules! views {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* })*
    };
}

views! {
    pub struct AppView {
        pub name: String,
        pub status: String,
        pub image: Option<String>,
        /// To open in a browser; `null` while there is no such address.
        pub url: Option<String>,
        pub processes: Vec<String>,
        pub created_at: String,
        pub updated_at: String,
    }

    pub struct Counts {
        pub demand: u32,
        pub spot: u32,
    }

    pub struct HealthView {
        /// `tcp`, `http` or `uptime`.
        pub check: String,
        pub path: Option<String>,
        /// Seconds.
        pub timeout: u64,
        /// Seconds.
        pub min_healthy_time: u64,
    }

    /// Requests through the router since the rollout began.
    pub struct RequestCounts {
        pub sent: u64,
        pub ok: u64,
        pub failed: u64,
        pub retried: u64,
    }

    pub struct LastExitView {
        pub code: Option<i32>,
        pub signal: Option<i32>,
        pub oom: bool,
        pub at: String,
    }

    pub struct RolloutView {
        pub id: u64,
        /// `create`, `update`, `restart`, `resize` or `enable`.
        pub kind: String,
        /// `running`, `succeeded`, `rolled_back`, `failed` or `superseded`.
        pub state: String,
        pub from: u64,
        pub to: u64,
        pub started_at: String,
        pub finished_at: Option<String>,
        pub reason: Option<String>,
        pub last_exit: Option<LastExitView>,
        /// The last 20 log lines of the instance that failed.
        pub log_tail: Vec<String>,
        pub requests: RequestCounts,
    }

    pub struct InstanceView {
        pub id: String,
        pub kind: String,
        pub state: String,
        pub reason: Option<String>,
        pub ip: Option<String>,
        pub generation: u64,
        pub started_at: Option<String>,
        pub healthy_at: Option<String>,
        pub memory_bytes: Option<u64>,
        pub memory_peak_bytes: Option<u64>,
        pub cpu_percent: Option<f64>,
        pub restarts: u32,
        pub last_exit: Option<LastExitView>,
    }

    /// What one instance uses, beside what it is.
    pub struct InstanceUsageView {
        pub app: String,
        pub process: String,
        pub instance: String,
        pub kind: String,
        pub state: String,
        /// Failures in a row in its place before it.
        pub restarts: u32,
        /// Its size in vCPU.
        pub cpu: f64,
        /// The instance whose place it took was killed for lack of memory.
        pub last_exit_oom: bool,
        /// `null` for one that is not measured: it is being made, or has just ended.
        pub usage: Option<Usage>,
    }

    pub struct BlockedView {
        pub code: String,
        pub text: String,
        pub since: String,
    }

    pub struct EventView {
        pub id: u64,
        pub at: String,
        pub app: String,
        pub process: Option<String>,
        pub instance: Option<String>,
        pub kind: String,
        pub text: String,
    }

    pub struct ProcessView {
        pub name: String,
        pub app: String,
        pub engine: String,
        /// `pending running updating restarting degraded rolled_back disabled scaled_to_zero`.
        pub status: String,
        pub disabled: bool,
        pub public: bool,
        pub url: Option<String>,
        /// GB.
        pub memory: f64,
        /// vCPU.
        pub cpu: f64,
        pub demand_count: u32,
        pub spot_count: u32,
        /// Seconds after which missing spot instances run on demand; `null`: never.
        pub spot_fallback: Option<u64>,
        /// So many demand instances stand in for spot ones now, beyond `demand_count`.
        pub fallback: u32,
        pub running: Counts,
        pub pending: Counts,
        pub command: Vec<String>,
        pub image: Option<String>,
        pub image_digest: Option<String>,
        pub version: Option<String>,
        pub port: Option<u16>,
        pub health: HealthView,
        /// Seconds.
        pub drain_timeout: u64,
        /// Seconds.
        pub stop_timeout: u64,
        pub userns: bool,
        /// Capabilities beyond the default ones, by name without `CAP_`.
        pub cap_add: Vec<String>,
        pub generation: u64,
        pub running_generation: u64,
        pub created_at: String,
        pub updated_at: String,
        pub restarted_at: Option<String>,
        pub rollout: Option<RolloutView>,
        pub instances: Vec<InstanceView>,
        pub blocked: Vec<BlockedView>,
        pub events: Vec<EventView>,
    }

    /// A one-off task.
    pub struct TaskView {
        /// No other task of the installation ever has it.
        pub id: u64,
        pub app: String,
        pub engine: String,
        /// The name under which logs, events and commands know it.
        pub process: String,
        /// `pending running stopping succeeded failed stopped`.
        pub state: String,
        /// Why it is so: what it waits for, or how it ended.
        pub reason: Option<String>,
        /// As a shell gives it: the command's own, or 128 and the signal; `null` until it has ended.
        pub exit_status: Option<u8>,
        pub last_exit: Option<LastExitView>,
        pub command: Vec<String>,
        pub image: Option<String>,
        pub image_digest: Option<String>,
        /// GB.
        pub memory: f64,
        /// vCPU.
        pub cpu: f64,
        /// Seconds.
        pub stop_timeout: u64,
        pub instance: Option<String>,
        pub created_at: String,
        pub started_at: Option<String>,
        pub ended_at: Option<String>,
        pub blocked: Vec<BlockedView>,
        pub events: Vec<EventView>,
    }

    pub struct ImageView {
        /// `NAME:TAG`; `<none>` for one that no name stands for any more.
        pub name: String,
        /// Of the image's config.
        pub digest: String,
        /// Unpacked bytes of its layers.
        pub size: u64,
        /// So many of them are in layers that other images have too.
        pub shared: u64,
        /// And so many would be free if this image alone went, with all of its names.
        pub unique: u64,
        pub layers: u32,
        /// `import`, `pull` or `build`.
        pub source: String,
        pub created_at: String,
        /// When it came or was last in use, to the hour.
        pub used_at: String,
        /// Processes (`APP/PROCESS`) that use it, and apps (`APP`) that name it for processes to come.
        pub used_by: Vec<String>,
        pub entrypoint: Vec<String>,
        pub command: Vec<String>,
        pub exposed_ports: Vec<u16>,
        pub user: String,
        pub working_dir: String,
    }

    /// What is set for a registry. The password is never shown.
    pub struct RegistryView {
        pub name: String,
        /// Of the login that is set, which has a password.
        pub username: Option<String>,
        pub mirror: Vec<String>,
        pub plain_http: bool,
    }

    pub struct StatusView {
        pub version: String,
        pub engine: String,
        pub api: String,
        pub http: String,
        pub data_dir: String,
        pub started_at: String,
        pub pid: u32,
        pub apps: u32,
        pub processes: u32,
        pub instances: u32,
        /// GB; `null` where the engine has no bound.
        pub capacity_memory: Option<f64>,
        /// GB taken by instances.
        pub used_memory: f64,
        /// Unpacked bytes of all images that are held.
        pub images_bytes: u64,
        /// GB that they may take before unused ones go by themselves; `null`: none ever goes.
        pub images_disk: Option<f64>,
        /// Resident bytes of the server.
        pub server_memory_bytes: u64,
        /// What this host lacks, one sentence each.
        pub warnings: Vec<String>,
    }

    /// One line of a log.
    pub struct LogLineView {
        pub at: String,
        pub process: String,
        pub instance: String,
        /// `stdout`, `stderr`, or `tapit` for a remark of our own.
        pub stream: String,
        pub text: String,
    }

    /// The answer to a change.
    pub struct Outcome {
        /// One sentence: what was done, or with `dry_run` would be.
        pub message: String,
        /// False when everything was so already.
        pub changed: bool,
        pub dry_run: bool,
        /// The command that undoes it, where there is one.
        pub inverse: Option<String>,
        /// Worth knowing, nothing wrong.
        pub notes: Vec<String>,
        /// What `settled` must be asked for to wait for this change.
        pub revision: u64,
        pub app: Option<AppView>,
        pub process: Option<ProcessView>,
        pub task: Option<TaskView>,
    }

    /// The answer to `settled`: how far a change has come.
    pub struct Progress {
        /// Steady or failed: nothing more will happen by itself.
        pub settled: bool,
        pub ok: bool,
        /// One line: `3/5 healthy, 2 draining`, or the reason of the failure.
        pub text: String,
        pub log_tail: Vec<String>,
    }
}
