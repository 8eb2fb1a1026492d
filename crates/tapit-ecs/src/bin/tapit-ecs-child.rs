//! The smallest program that can be re-executed to read archives; integration tests hand it to the images in place of the
//! real binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    tapit_container::child_main(&args).unwrap_or_else(|| {
        eprintln!("tapit-ecs-child is only run by the engine itself");
        ExitCode::from(2)
    })
}
