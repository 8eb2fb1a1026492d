//! The nouns of tapit as plain data.
//!
//! Every other crate speaks in these types. Nothing here reads a clock, a file or the network; parsing is the only way
//! to make an identity or a quantity, so a value that exists is legal.

mod command;
mod confinement;
mod difference;
mod engine;
mod error;
mod event;
mod exec;
mod fallback;
mod held;
mod ids;
mod image;
mod keys;
mod log;
mod observed;
mod patch;
mod quantity;
mod registry;
mod request;
mod route;
mod spec;
mod target;
mod task;
mod time;
mod transfer;
mod usage;
mod view;
mod world;

pub use command::CommandLine;
pub use confinement::{Capability, Confinement};
pub use difference::DifferenceView;
pub use engine::EngineKind;
pub use error::{Code, Refusal, describe, nearest};
pub use event::{Event, EventKind};
pub use exec::{EXEC_MAX_PAYLOAD, EXEC_PROTOCOL, EXEC_WINDOW, ExecFrame, ExecFrameError, WindowSize};
pub use fallback::Fallback;
pub use held::{ImageKey, ImageOrigin, PruneExtent};
pub use ids::{AppName, InstanceId, InstanceKey, NameError, ProcessKey, ProcessName};
pub use image::{Digest, ImageError, ImageRef};
pub use keys::{KeyInfo, PROCESS_KEYS, ProcessField, process_field};
pub use log::{LogLine, LogStream, Since};
pub use observed::{
    Blocked, BlockedCode, Exit, Failure, InstanceObserved, InstanceState, ProcessObserved, Reason, ReasonCode,
};
pub use patch::{Assign, CountChange, ProcessPatch, ResizeMode, Words};
pub use quantity::{CpuMillis, MemoryMib, QuantityError, Seconds};
pub use registry::{REGISTRY_KEYS, RegistryError, RegistryLogin, RegistryName, RegistryPatch, RegistrySettings};
pub use request::Request;
pub use route::{Backend, Route, RouteTable};
pub use spec::{Health, InstanceKind, Lifecycle, Port, PortSetting, ProcessSpec, Size};
pub use target::{Check, Formation, PinnedImage, Presence, ProcessTarget, Restart};
pub use task::{Task, TaskEnd, TaskId, TaskState};
pub use time::{Moment, Timestamp};
pub use transfer::{LayerState, LayerTransfer, Transfer, TransferFrame};
pub use usage::{NetworkUsage, Pressure, Usage, UsageOf};
pub use view::{
    AppView, BlockedView, Counts, EventView, HealthView, ImageView, InstanceUsageView, InstanceView, LastExitView,
    LogLineView, Outcome, ProcessView, Progress, RegistryView, RequestCounts, RolloutView, StatusView, TaskView,
};
pub use world::{
    App, Change, Generation, ImageSource, Process, Revision, Rollout, RolloutKind, RolloutState, Template, World,
};
