//! Everything that speaks with the Linux kernel itself; the only place where `unsafe` may stand.
//!
//! Half of it runs in the server (`cgroup`, `pidfd`, `lock`, `net`), half in processes that are made by running the same
//! program again under a hidden verb: the shim, which makes one container, the monitor, which it becomes, and the
//! unpacking helper. Those are single-threaded, because making namespaces in a threaded process is undefined.

pub mod cgroup;
pub(crate) mod exec;
pub(crate) mod lock;
pub(crate) mod makers;
pub mod net;
pub(crate) mod pidfd;
pub mod probe;
pub(crate) mod program;
pub(crate) mod seccomp;
pub(crate) mod traffic;
pub(crate) mod tree;
mod turns;
pub mod unpack;
pub mod verbs;

mod assemble;
pub(crate) mod beneath;
mod detached;
mod devices;
mod idmap;
mod init;
mod monitor;
mod oom;
mod rootfs;
mod seal;
mod shim;
mod spec;
pub(crate) mod stack;
pub(crate) mod user;
mod walls;
