//! The complete order for an engine: make this process be so.

use serde::{Deserialize, Serialize};

use crate::{CommandLine, Confinement, Digest, ImageRef, Lifecycle, Port, ProcessKey, Revision, Seconds, Size};

/// Everything that an engine must know of one process. Complete in itself; an older revision is refused as stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTarget {
    pub key: ProcessKey,
    pub revision: Revision,
    pub presence: Presence,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// No instance may be left; the process is forgotten once that is so. What is left ends with these times.
    Absent(Lifecycle),
    Present(Box<Formation>),
}

/// How many instances of which generation.
///
/// Instances of any other generation are old: each is retired once a healthy one of this generation stands in for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formation {
    pub generation: u64,
    pub image: PinnedImage,
    pub command: Option<CommandLine>,
    /// Given as `PORT`.
    pub port: Port,
    pub check: Check,
    /// How long an instance may take to become healthy before it counts as failed.
    pub health_timeout: Seconds,
    /// Applied in place to running instances of this generation.
    pub size: Size,
    /// Those that stand in for spot instances among them.
    pub demand: u32,
    /// So many of the demand instances only stand in for spot ones: where room is short, what was asked for comes first.
    #[serde(default)]
    pub stand_ins: u32,
    pub spot: u32,
    #[serde(default)]
    pub restart: Restart,
    pub lifecycle: Lifecycle,
    #[serde(default)]
    pub confinement: Confinement,
    /// HTTP from outside goes to it: an instance counts as serving only once it is routed.
    pub public: bool,
    /// The app's variables, sorted by name.
    pub variables: Vec<(String, String)>,
    /// Given as `TAPIT_VERSION`.
    pub version: String,
}

/// Whether an instance that has ended is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    #[default]
    Always,
    /// The process has one instance in all its life, however that ends, and also when the engine or the host died meanwhile.
    Never,
}

/// An image reference with the digest that it was resolved to, once per rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    pub reference: ImageRef,
    /// Of the image's config: the same for one image whichever way it came.
    pub digest: Digest,
    /// TCP ports that the image exposes, sorted.
    pub exposed: Vec<Port>,
}

/// When an instance is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Accepts a TCP connection.
    Tcp(Port),
    /// Answers 2xx or 3xx.
    Http { port: Port, path: String },
    /// Has run for this long.
    Uptime(Seconds),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppName, CpuMillis, MemoryMib, ProcessName};

    #[test]
    fn a_target_from_before_there_were_tasks_is_one_of_a_process_that_is_restarted() {
        let (app, process) = (AppName::parse("shop").expect("legal"), ProcessName::public());
        let image = PinnedImage {
            reference: ImageRef::parse("shop:v1").expect("legal"),
            digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("legal"),
            exposed: Vec::new(),
        };
        let formation = Formation {
            generation: 1,
            image,
            command: None,
            port: Port::MIN,
            check: Check::Tcp(Port::MIN),
            health_timeout: Seconds(60),
            size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
            demand: 1,
            stand_ins: 0,
            spot: 0,
            restart: Restart::Always,
            lifecycle: Lifecycle::default(),
            confinement: Confinement::default(),
            public: true,
            variables: Vec::new(),
            version: "v1".to_owned(),
        };
        let present = |formation| Presence::Present(Box::new(formation));
        let key = ProcessKey::new(&app, &process);
        let target = ProcessTarget { key, revision: Revision(2), presence: present(formation.clone()) };
        let mut text = serde_json::to_value(&target).expect("it is written");
        let written = text["presence"]["Present"].as_object_mut().and_then(|formation| formation.remove("restart"));
        assert_eq!(written, Some("always".into()));
        assert_eq!(serde_json::from_value::<ProcessTarget>(text).expect("it is read"), target);
        let once =
            ProcessTarget { presence: present(Formation { restart: Restart::Never, ..formation }), ..target.clone() };
        let text = serde_json::to_string(&once).expect("it is written");
        assert_eq!(serde_json::from_str::<ProcessTarget>(&text).expect("it is read"), once);
    }
}
