//! The command line of tapit: what is typed, what it means, and what is printed.
//!
//! `main.rs` calls [`run`]. This library never opens the store and never speaks to an engine: it turns words into a
//! request, sends it to a server over HTTP, and shows the answer. Running a server is left to the caller, which is told
//! so by [`Ending`]; that keeps everything here testable against a scripted server.

pub mod builder;
pub mod client;
pub mod commands;
pub mod grammar;
pub mod invocation;
pub mod output;
pub mod select;
pub mod surroundings;
mod terminal;

use std::path::PathBuf;

use tapit_container::doctor::Check;
use tapit_model::Refusal;

use commands::Stop;
use invocation::{DoctorWanted, ServerWords};
use output::Screen;
use surroundings::Surroundings;

/// What is left for the caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: end with this exit status.
    Exit(u8),
    /// Run a server in the foreground.
    Serve(PathBuf, ServerWords),
    /// Look at what an engine has and lacks here, and say it.
    Doctor(DoctorWanted),
    /// Remove everything that the server of this data directory ever made; it was confirmed.
    Teardown(std::path::PathBuf),
}

/// Runs one command line, without the program's own name in it.
pub fn run(argv: &[String], surroundings: &Surroundings, screen: &mut Screen) -> Ending {
    let ending = grammar::parse(argv)
        .map_err(Stop::from)
        .and_then(|invocation| commands::perform(invocation, surroundings, screen));
    let flushed = screen.flush().map_err(Stop::from);
    match ending.and_then(|ending| flushed.map(|()| ending)) {
        Ok(ending) => ending,
        Err(stop) => Ending::Exit(report(stop, screen)),
    }
}

/// Prints what was found; answers the exit status.
pub fn doctor(checks: &[Check], wanted: DoctorWanted, surroundings: &Surroundings, screen: &mut Screen) -> u8 {
    match commands::doctor::doctor(checks, wanted, surroundings, screen) {
        Ok(()) => 0,
        Err(stop) => report(stop, screen),
    }
}

/// Says why a command stopped; the one place where exit statuses come from.
pub fn report(stop: Stop, screen: &mut Screen) -> u8 {
    match stop {
        Stop::Refused(refusal) => {
            screen.say(&format!("tapit: {}", refusal.message));
            refusal.code.exit_status()
        }
        Stop::Ended(status) => status,
        // Whoever reads has seen enough (`tapit list processes | head -1`); that is not a failure.
        Stop::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Stop::Write(error) => {
            let refusal = Refusal::failed(format!("cannot write to the standard output: {error}"));
            report(Stop::Refused(refusal), screen)
        }
    }
}
