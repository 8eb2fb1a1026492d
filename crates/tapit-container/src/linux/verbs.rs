//! The hidden verbs under which the program is run again as a helper process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Makes one container and then becomes its monitor: `__shim DIR PROGRAM`, the latter being where the server keeps the
/// monitor's program; without it the shim makes it itself.
pub const SHIM: &str = "__shim";
/// Becomes a container's monitor in the place of one that was killed: `__monitor DIR PROGRAM`.
pub const MONITOR: &str = "__monitor";

/// Makes a network in a namespace of its own and goes: `__try-network`.
pub const TRY_NETWORK: &str = "__try-network";
/// Runs one command in a running container: `__exec DIR`, with the server's socket as descriptor 0.
pub const EXEC: &str = "__exec";
/// The same, once it runs from where nothing can write to the program: `__exec_sealed DIR`.
pub const EXEC_SEALED: &str = "__exec_sealed";

/// Finds out what this kernel can do for containers with files below a directory: `__probe DIR`.
pub const PROBE: &str = "__probe";

/// Does what the arguments ask for if they name a verb.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let verb = args.get(1)?.to_str()?;
    match (verb, &args[2..]) {
        (SHIM, [dir]) => Some(super::shim::main(Path::new(dir), None)),
        (SHIM, [dir, program]) => Some(super::shim::main(Path::new(dir), Some(Path::new(program)))),
        (MONITOR, [dir, program]) => Some(super::monitor::main(Path::new(dir), Path::new(program))),
        (TRY_NETWORK, []) => Some(super::net::try_out::main()),
        (EXEC, [dir]) => Some(super::exec::main(Path::new(dir))),
        (EXEC_SEALED, [dir]) => Some(super::exec::sealed_main(Path::new(dir))),
        (PROBE, [dir]) => Some(super::probe::main(Path::new(dir))),
        (crate::images::helper::VERB, []) => Some(super::unpack::unpack_main()),
        _ => None,
    }
}
