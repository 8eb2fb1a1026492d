//! Learns that a container has run out of memory, on v1.
//!
//! There the kernel kills one process of a group and lets the rest live; it announces that by an event descriptor. On v2
//! the group is set to be killed as a whole and nothing needs to be watched.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::cgroup::Leaf;

/// Announcements of the kernel, for the monitor; readable when there is one.
pub struct OomEvents(File);

impl OomEvents {
    /// Starts to listen. `None` on v2, and where it cannot be had: the end of the container still tells of it then.
    pub fn watch(leaf: &Leaf) -> Option<Self> {
        let (control, events) = leaf.oom_files()?;
        // SAFETY: the call takes two integers and answers a new descriptor or -1.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        let events = File::open(events).ok()?;
        let request = format!("{} {}", event.as_raw_fd(), events.as_raw_fd());
        let mut control = OpenOptions::new().write(true).open(control).ok()?;
        control.write_all(request.as_bytes()).ok()?;
        Some(Self(File::from(event)))
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
