//! One server at a time chooses a subnet and puts an address of it on a bridge: between looking and taking, another
//! server of the same machine must not take the same one.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::NetError;

/// In a directory that only root writes to: in `/run/lock` any user could hold it for ever.
const PATH: &str = "/run/tapit-network.lock";
/// What is done under the lock takes milliseconds.
const TRIES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Held until dropped, or until the process dies.
pub struct Lock {
    _file: File,
}

pub fn hold() -> Result<Lock, NetError> {
    let path = Path::new(PATH);
    let failed = |source| NetError::Lock { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(NetError::LockBusy { path: path.to_owned(), seconds: u64::from(TRIES) * PAUSE.as_millis() as u64 / 1_000 })
}
