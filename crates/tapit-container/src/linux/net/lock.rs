//! One server at a time chooses a subnet and puts an address of it on a bridge: between looking and taking, another
//! server of the same machine must not take the same one.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::NetError;

/// In a directory that only root writes to: in `/run/lock` any user could hold it for ever.
const PATH: &str = "/run/tapit-network.lock";
/// What is done under the lock takes milliseconds, but many may wait, and the kernel takes its own lock for each step.
const TRIES: u32 = 6_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Held until dropped, or until the process dies. The file goes with it, so that nothing is left on the host.
pub struct Lock {
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held. A file that stays is no harm: it is only ever looked at for its lock.
        let _ = std::fs::remove_file(PATH);
    }
}

pub fn hold() -> Result<Lock, NetError> {
    let path = Path::new(PATH);
    let failed = |source| NetError::Lock { path: path.to_owned(), source };
    for _ in 0..TRIES {
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            // The holder before may have removed the file between opening and locking it; then it protects nothing.
            Ok(()) if is_at(&file, path) => return Ok(Lock { _file: file }),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(NetError::LockBusy { path: path.to_owned(), seconds: u64::from(TRIES) * PAUSE.as_millis() as u64 / 1_000 })
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(held), Ok(there)) => held.ino() == there.ino() && held.dev() == there.dev(),
        (Err(_), _) | (_, Err(_)) => false,
    }
}
