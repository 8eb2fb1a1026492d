//! The keys of a process: one table from which the parser, the help, the completion and the API take them.

use crate::error::nearest;

/// What a key sets. Synonyms share a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessField {
    Memory,
    Cpu,
    Demand,
    Spot,
    SpotFallback,
    Command,
    Image,
    Port,
    HealthPath,
    HealthTimeout,
    MinHealthyTime,
    DrainTimeout,
    StopTimeout,
    Userns,
    CapAdd,
    Disabled,
    Resize,
}

/// One key with its help.
#[derive(Debug)]
pub struct KeyInfo {
    pub field: ProcessField,
    /// The spelling that output uses.
    pub name: &'static str,
    pub synonyms: &'static [&'static str],
    /// The form of the value, for help.
    pub value: &'static str,
    pub help: &'static str,
    /// Legal on `create`; every key is legal on `set`.
    pub on_create: bool,
    /// Legal on `create task`.
    pub on_task: bool,
}

pub const PROCESS_KEYS: &[KeyInfo] = &[
    KeyInfo {
        field: ProcessField::Memory,
        name: "memory",
        synonyms: &[],
        value: "GB",
        help: "memory of each instance (default 0.5; 512M and 2G also)",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::Cpu,
        name: "cpu",
        synonyms: &[],
        value: "VCPU",
        help: "cpu of each instance (default 0.25; 500m also)",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::Demand,
        name: "demand_count",
        synonyms: &["desired_count", "demand"],
        value: "N",
        help: "number of on-demand instances (default 1; +N and -N on set)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::Spot,
        name: "spot_count",
        synonyms: &["spot"],
        value: "N",
        help: "number of spot instances (default 0; +N and -N on set)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::SpotFallback,
        name: "spot_fallback",
        synonyms: &[],
        value: "TIME|none",
        help: "after this long, missing spot instances run on demand until spot is back (default none)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::Command,
        name: "command",
        synonyms: &[],
        value: "'CMD ARGS'",
        help: "replaces the image's CMD; empty means the image's own",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::Image,
        name: "image",
        synonyms: &[],
        value: "NAME:TAG",
        help: "image of this process; empty means the app's image",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::Port,
        name: "port",
        synonyms: &[],
        value: "PORT|none",
        help: "port that the process listens on, given to it as PORT",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::HealthPath,
        name: "health_path",
        synonyms: &[],
        value: "/PATH",
        help: "path that answers 2xx or 3xx when healthy; empty means a TCP connection",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::HealthTimeout,
        name: "health_timeout",
        synonyms: &[],
        value: "TIME",
        help: "how long a new instance may take to get healthy (default 60s)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::MinHealthyTime,
        name: "min_healthy_time",
        synonyms: &[],
        value: "TIME",
        help: "without a port: healthy after running this long (default 2s)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::DrainTimeout,
        name: "drain_timeout",
        synonyms: &[],
        value: "TIME",
        help: "how long requests in flight may take when an instance leaves (default 30s)",
        on_create: true,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::StopTimeout,
        name: "stop_timeout",
        synonyms: &[],
        value: "TIME",
        help: "from SIGTERM to SIGKILL (default 30s)",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::Userns,
        name: "userns",
        synonyms: &[],
        value: "true|false",
        help: "root inside is nobody in particular outside (default true)",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::CapAdd,
        name: "cap_add",
        synonyms: &[],
        value: "NAME,NAME",
        help: "capabilities beyond the default ones, for example NET_ADMIN,NET_RAW; empty means none",
        on_create: true,
        on_task: true,
    },
    KeyInfo {
        field: ProcessField::Disabled,
        name: "disabled",
        synonyms: &[],
        value: "true|false",
        help: "stop all instances and keep the configuration",
        on_create: false,
        on_task: false,
    },
    KeyInfo {
        field: ProcessField::Resize,
        name: "resize",
        synonyms: &[],
        value: "in_place|rolling",
        help: "how a new memory or cpu reaches running instances (default in_place)",
        on_create: false,
        on_task: false,
    },
];

/// Looks a key up by its name or a synonym; the error suggests the nearest one and lists the rest.
pub fn process_field(key: &str) -> Result<&'static KeyInfo, String> {
    PROCESS_KEYS.iter().find(|info| info.name == key || info.synonyms.contains(&key)).ok_or_else(|| {
        let all =
            || PROCESS_KEYS.iter().flat_map(|info| std::iter::once(info.name).chain(info.synonyms.iter().copied()));
        let guess = nearest(key, all()).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        let names: Vec<_> = PROCESS_KEYS.iter().map(|info| info.name).collect();
        format!("unknown key {key:?}; {guess}legal keys are {}", names.join(", "))
    })
}
