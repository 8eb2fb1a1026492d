//! What the user asked for.

use serde::{Deserialize, Serialize};

use crate::{CommandLine, Confinement, CpuMillis, ImageRef, MemoryMib, Seconds};

/// How an instance is paid for with capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceKind {
    /// Guaranteed capacity, until told to stop.
    Demand,
    /// Spare capacity: may start late or never, may be reclaimed after a notice.
    Spot,
}

impl InstanceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceKind::Demand => "demand",
            InstanceKind::Spot => "spot",
        }
    }
}

/// The size of each instance of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    pub memory: MemoryMib,
    pub cpu: CpuMillis,
}

pub type Port = std::num::NonZeroU16;

/// The `port` key as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortSetting {
    /// Not given: the image's one exposed TCP port, else 8080.
    #[default]
    Auto,
    /// `port=none`: the process listens nowhere; it is healthy once it has run for `min_healthy_time`.
    None,
    Port(Port),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Health {
    /// Answers 2xx or 3xx when healthy. Starts with `/`.
    pub path: Option<String>,
    /// How long a new instance may take to become healthy.
    pub timeout: Seconds,
    /// How long an instance without a port must run to count as healthy.
    pub min_healthy: Seconds,
}

/// How instances end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lifecycle {
    /// How long requests in flight may take after the route is gone.
    pub drain_timeout: Seconds,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Seconds,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { drain_timeout: Seconds(30), stop_timeout: Seconds(30) }
    }
}

/// Everything that the user can set on a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    pub size: Size,
    pub demand: u32,
    pub spot: u32,
    /// A spot instance that has been missing for this long is run on demand until spot is back; `None`: never.
    #[serde(default)]
    pub spot_fallback: Option<Seconds>,
    pub command: Option<CommandLine>,
    /// `None`: the app's image.
    pub image: Option<ImageRef>,
    pub port: PortSetting,
    pub health: Health,
    pub lifecycle: Lifecycle,
    #[serde(default)]
    pub confinement: Confinement,
    pub disabled: bool,
}

impl Default for ProcessSpec {
    /// The defaults of `create process`.
    fn default() -> Self {
        Self {
            size: Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) },
            demand: 1,
            spot: 0,
            spot_fallback: None,
            command: None,
            image: None,
            port: PortSetting::Auto,
            health: Health { path: None, timeout: Seconds(60), min_healthy: Seconds(2) },
            lifecycle: Lifecycle::default(),
            confinement: Confinement::default(),
            disabled: false,
        }
    }
}

impl ProcessSpec {
    /// Counts in force: a disabled process keeps its counts but runs nothing.
    pub fn wanted(&self, kind: InstanceKind) -> u32 {
        match (self.disabled, kind) {
            (true, _) => 0,
            (false, InstanceKind::Demand) => self.demand,
            (false, InstanceKind::Spot) => self.spot,
        }
    }
}
