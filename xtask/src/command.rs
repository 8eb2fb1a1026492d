//! Runs other programs for the chores and says what went wrong with them.

use std::path::Path;
use std::process::{Command, Stdio};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("running {program}")]
    Run { program: String, source: std::io::Error },
    #[error("{line} failed: {text}")]
    Failed { line: String, text: String },
}

/// Runs a program in a directory and shows what it prints.
pub fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<(), CommandError> {
    let line = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program).args(arguments).current_dir(directory).status();
    match status.map_err(|source| CommandError::Run { program: program.to_owned(), source })? {
        status if status.success() => Ok(()),
        status => Err(CommandError::Failed { line, text: status.to_string() }),
    }
}

/// Runs a command that must succeed. Answers what it printed.
pub fn succeed(command: &mut Command) -> Result<String, CommandError> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| CommandError::Run { program: line.clone(), source })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let line = line.chars().take(200).collect();
        return Err(CommandError::Failed { line, text });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
