//! Chores of this workspace: `cargo xtask tidy`, `check`, `bench`, `fuzz` and `vm`.
//!
//! Developers and CI call it; the product does not depend on it. `tidy` looks at files only, `check` runs what CI runs,
//! `bench` measures a release binary, `vm` runs the engine on an emulated machine with cgroup v2.

mod bench;
mod check;
mod command;
mod fuzz;
// One image builder and one HTTP client serve the tests and the chores, so that all speak of the same thing.
#[path = "../../crates/tapit/tests/e2e/harness/http.rs"]
mod http;
#[path = "../../crates/tapit/tests/e2e/harness/image.rs"]
mod image;
mod tidy;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tidy::Listing;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  tidy [--hints]      house rules: who may depend on whom, words that are out of place, lengths, module docs
  check [TEST ARGS]   formatting, lints, tidy and every test: what ./test and CI run
  bench [NAME...] [ROUNDS]
                      target/release/tapit beside the container programs that are installed; `bench help` has the names
  fuzz [SECONDS] [TARGET...]
                      hostile bytes for every parser of them, each for so long; needs cargo-fuzz
  vm [SCENE...]       the engine in emulated machines with cgroup v2: tests, plain, delegated, systemd";

fn main() -> ExitCode {
    let root = workspace();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["tidy"] => tidy::run(&root, Listing::Brief).map_err(|error| chain(&error)),
        ["tidy", "--hints"] => tidy::run(&root, Listing::Full).map_err(|error| chain(&error)),
        ["check", rest @ ..] => check::run(&root, rest).map_err(|error| chain(&error)),
        ["bench", rest @ ..] => bench::run(&root, rest).map_err(|error| chain(&error)),
        ["fuzz", rest @ ..] => fuzz::run(&root, rest).map_err(|error| chain(&error)),
        ["vm", rest @ ..] => vm::run(&root, rest).map_err(|error| chain(&error)),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("unknown command {:?}\n{USAGE}", other.join(" "))),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("xtask: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The directory above this crate's own.
fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
