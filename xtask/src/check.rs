//! `cargo xtask check`: what CI runs, in the order in which failures are cheapest to find.

use std::path::Path;
use std::process::Command;

use crate::tidy;

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("running {command}")]
    Run { command: String, source: std::io::Error },
    #[error("house rules")]
    Tidy(#[from] tidy::TidyError),
}

/// Answers whether everything passed; the first failure ends it. `rest` goes to `cargo test`.
pub fn run(root: &Path, rest: &[&str]) -> Result<bool, CheckError> {
    Ok(cargo(root, "formatting", &["fmt", "--all", "--check"])?
        && cargo(root, "lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?
        && house_rules(root)?
        && cargo(root, "tests", &[&["test", "--workspace", "--no-fail-fast"], rest].concat())?)
}

fn house_rules(root: &Path) -> Result<bool, CheckError> {
    println!("==> house rules");
    Ok(tidy::run(root, tidy::Listing::Brief)?)
}

fn cargo(root: &Path, what: &str, arguments: &[&str]) -> Result<bool, CheckError> {
    println!("==> {what}");
    // Cargo names itself to the programs that it runs, so the same toolchain is used throughout.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).current_dir(root).status();
    let status =
        status.map_err(|source| CheckError::Run { command: format!("cargo {}", arguments.join(" ")), source })?;
    if !status.success() {
        eprintln!("xtask: {what}: cargo {} failed", arguments.join(" "));
    }
    Ok(status.success())
}
