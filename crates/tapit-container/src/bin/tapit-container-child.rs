//! The smallest program that can be re-executed as shim, monitor or unpack helper; integration tests hand it to the
//! engine in place of the real binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    tapit_container::child_main(&args).unwrap_or_else(|| {
        eprintln!("tapit-container-child is only run by the engine itself");
        ExitCode::from(2)
    })
}
