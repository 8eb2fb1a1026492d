//! `cargo xtask fuzz [SECONDS] [TARGET...]`: builds the targets in `fuzz/` and runs one after the other, a line for each.
//!
//! It needs `cargo-fuzz` and a C++ compiler, and root for the target `unpack`. What was tried is kept in `fuzz/corpus` and
//! gone on with the next time; bytes that break something are kept in `fuzz/artifacts`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{self, CommandError};

const SECONDS: u32 = 60;
/// What a target may take of memory, and for one try.
const MEBIBYTES: u32 = 1024;
const TRY_SECONDS: u32 = 20;
const LONGEST: u32 = 16 * 1024;
/// Stable compilers have no sanitizer; what is fuzzed is safe code, but for the library of zstd.
const NO_SANITIZER: [&str; 2] = ["-s", "none"];

#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    #[error("cargo-fuzz is missing; install it with: cargo install cargo-fuzz --locked")]
    Missing(#[source] CommandError),
    #[error("building the targets")]
    Build(#[source] CommandError),
    #[error("running the target {target}")]
    Run { target: String, source: std::io::Error },
    #[error("looking at {path}")]
    Look { path: PathBuf, source: std::io::Error },
    #[error("there is no target {0}; there are: {1}")]
    Unknown(String, String),
}

/// Answers whether nothing was found.
pub fn run(root: &Path, words: &[&str]) -> Result<bool, FuzzError> {
    let (seconds, wanted) = match words.split_first().map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(seconds), rest)) => (seconds, rest),
        Some((Err(_), _)) | None => (SECONDS, words),
    };
    let targets = chosen(targets(root)?, wanted)?;
    let mut version = cargo(root);
    command::succeed(version.arg("--version")).map_err(FuzzError::Missing)?;
    let build = [&["fuzz", "build"], &NO_SANITIZER[..]].concat();
    command::run(&program(), &build, root).map_err(FuzzError::Build)?;
    let mut sound = true;
    for target in &targets {
        let outcome = fuzz(root, target, seconds)?;
        sound &= matches!(outcome, Outcome::Nothing(_));
        println!("{target:<12} {outcome}");
    }
    Ok(sound)
}

fn program() -> String {
    // Cargo names itself to the programs that it runs, so the same toolchain is used throughout.
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(program());
    cargo.arg("fuzz").current_dir(root);
    cargo
}

/// All that there are, by name.
fn targets(root: &Path) -> Result<Vec<String>, FuzzError> {
    let path = root.join("fuzz/fuzz_targets");
    let failed = |source| FuzzError::Look { path: path.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn chosen(all: Vec<String>, wanted: &[&str]) -> Result<Vec<String>, FuzzError> {
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|known| known == *name)) {
        return Err(FuzzError::Unknown((*unknown).to_owned(), all.join(", ")));
    }
    if wanted.is_empty() { Ok(all) } else { Ok(wanted.iter().map(|name| (*name).to_owned()).collect()) }
}

fn fuzz(root: &Path, target: &str, seconds: u32) -> Result<Outcome, FuzzError> {
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    let directory = root.join(&corpus);
    fs::create_dir_all(&directory).map_err(|source| FuzzError::Look { path: directory, source })?;
    let mut command = cargo(root);
    command.arg("run").args(NO_SANITIZER).args([target, &corpus, &seeds, "--", "-print_final_stats=1"]);
    command.args([format!("-max_total_time={seconds}"), format!("-rss_limit_mb={MEBIBYTES}")]);
    command.args([format!("-timeout={TRY_SECONDS}"), format!("-max_len={LONGEST}")]);
    command.args(dictionary(target).map(|name| format!("-dict=fuzz/dict/{name}.dict")));
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| FuzzError::Run { target: target.to_owned(), source })?;
    let log = String::from_utf8_lossy(&output.stderr);
    Ok(if output.status.success() { Outcome::Nothing(Figures::read(&log, seconds)) } else { Outcome::read(&log) })
}

/// The words that a target's form consists of.
fn dictionary(target: &str) -> Option<&'static str> {
    match target {
        "archive" | "tar" | "unpack" => Some("tar"),
        "answer" | "config" | "credentials" | "manifest" => Some("json"),
        _ => None,
    }
}

/// How one target ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Nothing(Figures),
    Found {
        said: String,
        /// Where the bytes are kept, if the fuzzer came to that.
        kept: Option<String>,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Figures {
    tries: String,
    seconds: u32,
    /// Of the code that was reached, as the fuzzer counts them.
    edges: String,
    mebibytes: String,
}

impl Figures {
    fn read(log: &str, seconds: u32) -> Self {
        let behind = |mark: &str| log.rsplit_once(mark).and_then(|(_, rest)| rest.split_whitespace().next());
        let figure = |mark: &str| behind(mark).unwrap_or("?").to_owned();
        Self {
            tries: figure("stat::number_of_executed_units:"),
            seconds,
            edges: figure(" cov: "),
            mebibytes: figure("stat::peak_rss_mb:"),
        }
    }
}

impl Outcome {
    fn read(log: &str) -> Self {
        let mut lines = log.lines();
        // A panic tells its place in one line and its words in the next.
        let panic = lines.by_ref().find(|line| line.contains("panicked at")).and_then(|_| lines.next());
        let failure = || log.lines().find(|line| line.contains("ERROR") || line.starts_with("error")).map(str::trim);
        let said = panic.or_else(failure).unwrap_or("it ended without a word").to_owned();
        let kept =
            log.rsplit_once("Test unit written to ").and_then(|(_, rest)| rest.lines().next()).map(str::to_owned);
        Self::Found { said, kept }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing(Figures { tries, seconds, edges, mebibytes }) => {
                write!(f, "nothing found: {tries} tries in {seconds} s, {edges} edges, {mebibytes} MiB")
            }
            Self::Found { said, kept } => {
                write!(f, "FOUND: {said}")?;
                kept.as_ref().map_or(Ok(()), |kept| write!(f, "\n{:<12} the bytes are in {kept}", ""))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_told_in_a_line() {
        let log = "#5\tDONE   cov: 1736 ft: 4129 corp: 284/725Kb\nstat::number_of_executed_units: 28971\n\
                   stat::peak_rss_mb:              34\n";
        let outcome = Outcome::Nothing(Figures::read(log, 15));
        assert_eq!(outcome.to_string(), "nothing found: 28971 tries in 15 s, 1736 edges, 34 MiB");
    }

    #[test]
    fn what_was_found_is_told_with_where_its_bytes_are() {
        let log = "INFO: seed\nthread '<unnamed>' (1) panicked at src/a.rs:1:2:\n518 bytes\n==1== ERROR: libFuzzer: deadly\n\
                   artifact_prefix='x'; Test unit written to fuzz/artifacts/dns/crash-1\n";
        let outcome = Outcome::read(log);
        let kept = Some("fuzz/artifacts/dns/crash-1".to_owned());
        assert_eq!(outcome, Outcome::Found { said: "518 bytes".to_owned(), kept });
        let outcome = Outcome::read("==1== ERROR: libFuzzer: timeout after 21 seconds\n");
        assert_eq!(outcome.to_string(), "FOUND: ==1== ERROR: libFuzzer: timeout after 21 seconds");
    }

    #[test]
    fn targets_are_chosen_by_name() {
        let all = || vec!["dns".to_owned(), "tar".to_owned()];
        assert_eq!(chosen(all(), &[]).expect("all"), all());
        assert_eq!(chosen(all(), &["tar"]).expect("one"), ["tar"]);
        assert!(matches!(chosen(all(), &["x"]), Err(FuzzError::Unknown(..))));
    }
}
