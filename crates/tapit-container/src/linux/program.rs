//! The program that is every container's monitor and process 1, in sealed memory.
//!
//! The server makes one memory file and every shim opens it, so all instances of a server share its pages. It is sealed:
//! nobody can ever write to it, whatever they get hold of, which is what a container's process 1 needs (`/proc/1/exe`,
//! CVE-2019-5736). It may be executed but not read, so that the kernel keeps a process that runs it out of reach of others
//! of the same user, and, in a user namespace, out of reach of root there, from the first moment on.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tapit-monitor"));
const EXECUTABLE: u32 = 0o111;
const SEALS: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// As `execveat` wants them: all are C strings.
pub struct Words {
    pub argv: Vec<CString>,
    pub environment: Vec<CString>,
}

/// An open file of the program.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// The one of this process.
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Program> = OnceLock::new();
        match SHARED.get() {
            Some(program) => Ok(program),
            None => {
                let made = Self::make()?;
                // Another thread may have been quicker; then this one is closed again.
                Ok(SHARED.get_or_init(|| made))
            }
        }
    }

    /// Where another process finds it for as long as this one lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }

    /// The server's, if it still can be had, else one of its own.
    pub fn open_or_make(path: Option<&Path>) -> io::Result<Self> {
        match path.and_then(Self::open) {
            Some(program) => Ok(program),
            None => Self::make(),
        }
    }

    /// `None` for what is not sealed: the server may be gone and its process id another's.
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        // SAFETY: the call takes numbers alone; the descriptor is open.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        let same = file.metadata().is_ok_and(|found| found.len() == BYTES.len() as u64);
        (seals == SEALS && same).then(|| Self(file.into()))
    }

    fn make() -> io::Result<Self> {
        let mut file = File::from(memory_file()?);
        file.write_all(BYTES)?;
        file.set_permissions(Permissions::from_mode(EXECUTABLE))?;
        // SAFETY: the call takes numbers alone; the descriptor is open.
        Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })?;
        Ok(Self(file.into()))
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Becomes the program. Returns only when it cannot.
    pub fn exec(&self, words: &Words) -> Result<Infallible, Errno> {
        exec(self.as_raw_fd(), words)
    }
}

/// Becomes the program behind a descriptor. For a process that was forked with the descriptor open.
pub fn exec(program: RawFd, words: &Words) -> Result<Infallible, Errno> {
    let (argv, environment) = (pointers(&words.argv), pointers(&words.environment));
    // SAFETY: the empty path with AT_EMPTY_PATH names the descriptor. The pointers come from `CString`s that `words` holds,
    // in arrays that end with null and outlive the call, which only reads them.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program,
            c"".as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(Errno::last())
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Kernels before 6.3 do not know the flag that asks for what they do anyway.
fn memory_file() -> Result<OwnedFd, Errno> {
    const MFD_EXEC: libc::c_uint = 0x10;
    const NAME: &CStr = c"tapit-monitor";
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    for flags in [flags | MFD_EXEC, flags] {
        // SAFETY: the name is a C string; the call answers a new descriptor or -1.
        match Errno::result(unsafe { libc::memfd_create(NAME.as_ptr(), flags) }) {
            // SAFETY: the kernel has just made this descriptor for us and nobody else knows of it.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_sealed_and_one_that_is_not_is_not_taken_for_it() {
        let program = Program::shared().expect("makes it");
        assert_eq!(program.path(), Program::shared().expect("has it").path());
        let opened = Program::open(&program.path()).expect("opens");
        let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let mut writable = File::options().write(true).open(path).expect("opens");
        assert_eq!(writable.write(b"x").expect_err("is sealed").raw_os_error(), Some(libc::EPERM));
        assert!(Program::open(Path::new("/proc/self/exe")).is_none());
        assert!(Program::open_or_make(Some(Path::new("/does/not/exist"))).is_ok());
    }
}
