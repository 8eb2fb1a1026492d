//! The walls of the helper: no network, mounts of its own, a root that holds only what it works on.
//!
//! All of it is process-wide, which is why the server never does this itself.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{chdir, chroot, fchdir, geteuid};

use super::below::Below;
use super::trouble::Trouble;
use crate::linux::stack;

const OWN: CloneFlags = CloneFlags::CLONE_NEWNS.union(CloneFlags::CLONE_NEWNET).union(CloneFlags::CLONE_NEWIPC);
/// Far more than decoders with their largest windows and the books of a million entries take.
const MEMORY: u64 = 2 << 30;

/// Leaves the host's mounts, network and IPC.
pub fn leave_namespaces() -> Result<(), Trouble> {
    unshare(OWN).map_err(|error| Trouble::host("leave the host's namespaces to unpack (root is needed)", error))?;
    make_private()
}

/// The same for work that makes no files of other owners: without root, in a user namespace.
pub fn leave_namespaces_as_anybody() -> Result<(), Trouble> {
    if geteuid().is_root() {
        return leave_namespaces();
    }
    unshare(OWN | CloneFlags::CLONE_NEWUSER).map_err(|error| {
        Trouble::host("leave the host's namespaces (user namespaces for everybody are needed, or root)", error)
    })?;
    make_private()
}

fn make_private() -> Result<(), Trouble> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|error| Trouble::host("make the mounts private", error))
}

/// Makes the merged view of the lower layers, of which `layers` is the directory.
pub fn look_below(layers: &Path, below: &[String], empty: &Path) -> Result<Below, Trouble> {
    let root: PathBuf = match below {
        [] => return Ok(Below::nothing()),
        [only] => layers.join(only),
        many => {
            let opened = many.iter().rev().map(|name| stack::open(&layers.join(name)));
            let opened: Vec<File> =
                opened.collect::<Result<_, _>>().map_err(|error| Trouble::host("open the lower layers", error))?;
            stack::mount_at(empty, &opened, None, MsFlags::MS_RDONLY)
                .map_err(|error| Trouble::host("merge the lower layers", error))?;
            empty.to_owned()
        }
    };
    let read = || -> std::io::Result<Below> {
        let names = std::fs::read_dir(&root)?;
        let names = names.map(|entry| Ok(entry?.file_name().into_vec())).collect::<std::io::Result<_>>()?;
        Ok(Below::new(OwnedFd::from(File::open(&root)?), names))
    };
    read().map_err(|error| Trouble::host("open the lower layers", error))
}

/// Makes `root` the root of this process, for good.
pub fn shut_in(root: &File) -> Result<(), Trouble> {
    let shut = || -> nix::Result<()> {
        fchdir(root.as_raw_fd())?;
        chroot(".")?;
        chdir("/")?;
        // Modes are taken from the archive as they are.
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)
    };
    shut().map_err(|error| Trouble::host("shut the unpacking helper in", error))
}

/// Ends the work once the server has closed its end of stdin, or died.
pub fn still_wanted() -> Result<(), Trouble> {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        // A signal is no word from the server; it is looked again soon.
        Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Ok(_) => Err(Trouble::Host("nobody waits for the unpacking any more".to_owned())),
        Err(error) => Err(Trouble::host("look at stdin", error)),
    }
}
