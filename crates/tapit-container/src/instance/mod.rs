//! One container on this host, as the server sees it: an order, a directory, and a handle on what runs.
//!
//! The supervisor (`engine`) calls `launch` for a new instance and `InstanceDir::adopt` for those that an earlier server
//! left behind. Everything that touches namespaces happens in the shim, a process of its own (`linux::shim`); nothing
//! here clones, mounts or changes directories, and nothing here decides what should run.

mod dir;
mod files;
mod launch;
pub(crate) mod log;
mod order;
mod record;
mod running;
mod signal;
mod watcher;

pub use dir::{Adopted, DirError, InstanceDir};
pub(crate) use dir::{LOCK, STATUS};
pub use files::{FileError, Stored};
pub(crate) use files::{Survives, write, write_json};
pub use launch::{Answer, Fault, LaunchError, Waiting, launch, make};
pub(crate) use log::newest as newest_log_segment;
pub use log::{LogCursor, LogLine, Stream};
pub use order::{EtcFiles, IdRange, LogBounds, Order};
pub use record::{PROTOCOL, ProcessStamp, Record};
pub(crate) use running::limits;
pub use running::{ResizeError, Running, SignalError, UsageError, WaitOutcome};
pub use signal::{Signal, StopSignal, StopSignalError};
pub(crate) use watcher::hold_output;
