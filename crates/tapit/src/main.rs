//! The one binary: client, server and shim.

use std::io::IsTerminal;
use std::process::ExitCode;

use tapit_cli::output::{Screen, Terminals};
use tapit_cli::surroundings::Surroundings;
use tapit_cli::{Ending, commands::Stop};
use tapit_model::Refusal;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let surroundings = Surroundings::of_this_program();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let terminals =
        Terminals { input: stdin.is_terminal(), output: stdout.is_terminal(), talk: stderr.is_terminal() };
    let (mut input, mut output, mut talk) = (stdin.lock(), stdout.lock(), stderr.lock());
    let mut screen = Screen::new(&mut output, &mut talk, &mut input, terminals, &surroundings);
    let argv: Result<Vec<String>, _> = arguments.into_iter().map(std::ffi::OsString::into_string).collect();
    let ending = match argv {
        Ok(argv) => tapit_cli::run(&argv, &surroundings, &mut screen),
        Err(word) => {
            let refusal = Refusal::usage(format!("the argument {word:?} is not UTF-8"));
            Ending::Exit(tapit_cli::report(Stop::Refused(refusal), &mut screen))
        }
    };
    match ending {
        Ending::Exit(status) => ExitCode::from(status),
        Ending::Serve(words) => ExitCode::from(u8::from(words.ephemeral)),
        Ending::Teardown(_) => ExitCode::SUCCESS,
    }
}
