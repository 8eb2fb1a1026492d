//! The hidden verbs under which the program is run again as a helper process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Makes one container and then becomes its monitor: `__shim DIR`.
pub const SHIM: &str = "__shim";
/// The shim, once it runs from a copy of the program that nothing can write to: `__sealed DIR`.
pub const SEALED: &str = "__sealed";
/// Watches one container: `__monitor DIR STDOUT STDERR STATUS`, the last three being inherited descriptors.
pub const MONITOR: &str = "__monitor";

/// Does what the arguments ask for if they name a verb.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let verb = args.get(1)?.to_str()?;
    match (verb, &args[2..]) {
        (SHIM, [dir]) => Some(super::seal::main(Path::new(dir))),
        (SEALED, [dir]) => Some(super::shim::main(Path::new(dir))),
        (MONITOR, [dir, fds @ ..]) => Some(super::monitor::main(Path::new(dir), fds)),
        (crate::images::helper::VERB, []) => Some(super::unpack::unpack_main()),
        _ => None,
    }
}
