//! The one binary: client, server and helper processes of the engine.
//!
//! It only tells them apart. The client is the library beside this file; the server and the engine have crates of their
//! own.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use tapit_cli::commands::Stop;
use tapit_cli::invocation::{DoctorWanted, EcsWords, EngineWords, ServerWords};
use tapit_cli::output::{Screen, Terminals};
use tapit_cli::surroundings::Surroundings;
use tapit_cli::{Ending, report};
use tapit_model::Refusal;
use tapit_server::{EcsArgs, EngineArgs, ServerArgs};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // First of all: what follows makes namespaces, which a program may do only while it has one thread.
    if let Some(status) = tapit_container::child_main(&arguments) {
        return status;
    }
    match with_screen(|surroundings, screen| command(arguments, surroundings, screen)) {
        Ending::Exit(status) => ExitCode::from(status),
        Ending::Serve(data_dir, words) => tapit_server::run(server_args(data_dir, words)),
        Ending::Doctor(wanted) => doctor(wanted),
        Ending::Teardown(data_dir) => match tapit_server::teardown(&data_dir) {
            Ok(done) => {
                with_screen(|_, screen| screen.say(&done));
                ExitCode::SUCCESS
            }
            Err(refusal) => ExitCode::from(with_screen(|_, screen| report(Stop::Refused(refusal), screen))),
        },
    }
}

fn doctor(wanted: DoctorWanted) -> ExitCode {
    let checks = tapit_server::examine(engine_args(wanted.engine.clone()), &wanted.dir);
    let status = with_screen(|surroundings, screen| match checks {
        Ok(checks) => tapit_cli::doctor(&checks, wanted, surroundings, screen),
        Err(refusal) => report(Stop::Refused(refusal), screen),
    });
    ExitCode::from(status)
}

/// Lends the standard streams. They are given back before a server starts: its threads write to them too.
fn with_screen<T>(work: impl FnOnce(&Surroundings, &mut Screen) -> T) -> T {
    let surroundings = Surroundings::of_this_program();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let terminals = Terminals { input: stdin.is_terminal(), output: stdout.is_terminal(), talk: stderr.is_terminal() };
    let (mut input, mut output, mut talk) = (stdin.lock(), stdout.lock(), stderr.lock());
    let mut screen = Screen::new(&mut output, &mut talk, &mut input, terminals, &surroundings);
    work(&surroundings, &mut screen)
}

fn command(arguments: Vec<OsString>, surroundings: &Surroundings, screen: &mut Screen) -> Ending {
    let argv: Result<Vec<String>, OsString> = arguments.into_iter().skip(1).map(OsString::into_string).collect();
    match argv {
        Ok(argv) => tapit_cli::run(&argv, surroundings, screen),
        Err(word) => {
            let refusal = Refusal::usage(format!("the argument {word:?} is not UTF-8"));
            Ending::Exit(report(Stop::Refused(refusal), screen))
        }
    }
}

fn server_args(data_dir: PathBuf, words: ServerWords) -> ServerArgs {
    let ServerWords { data_dir: _, api, http, engine, ephemeral, images_disk, log_format } = words;
    ServerArgs { data_dir, api, http, engine: engine_args(engine), ephemeral, images_disk, log_format }
}

fn engine_args(words: EngineWords) -> EngineArgs {
    let EngineWords { name, capacity_memory, spares_memory, reserve_memory, ecs } = words;
    let EcsWords { region, subnets, security_groups, listener, domain, execution_role, task_role, assign_public_ip } =
        ecs;
    let ecs =
        EcsArgs { region, subnets, security_groups, listener, domain, execution_role, task_role, assign_public_ip };
    EngineArgs { name, capacity_memory, spares_memory, reserve_memory, ecs }
}
