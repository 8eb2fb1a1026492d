//! stub
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
pub fn main(_dir: &Path, _fds: &[OsString]) -> ExitCode {
    ExitCode::from(1)
}
