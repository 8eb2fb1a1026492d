//! Everything that speaks with the Linux kernel itself; the only place where `unsafe` may stand.
//!
//! Half of it runs in the server (`cgroup`, `pidfd`, `lock`, `net`), half in processes that are made by running the same
//! program again under a hidden verb: the shim, which makes one container, the monitor, which it becomes, and the
//! unpacking helper. Those are single-threaded, because making namespaces in a threaded process is undefined.

pub mod cgroup;
pub(crate) mod lock;
pub(crate) mod makers;
pub mod net;
pub(crate) mod pidfd;
pub(crate) mod tree;
pub mod unpack;
pub mod verbs;

mod beneath;
mod init;
mod log_writer;
mod monitor;
mod oom;
mod rootfs;
mod seal;
mod shim;
mod spec;
mod user;
