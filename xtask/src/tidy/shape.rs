//! The shape of files: their length, their module doc, and the first lines of scripts.

use super::files::SourceFile;
use super::{Finding, Weight};

/// More lines than this are never right.
const MAX_LINES: usize = 1000;
/// More lines than this are worth a look.
const WANTED_LINES: usize = 500;
/// How far down a script may say that it stops at errors: below its comment.
const SCRIPT_HEAD: usize = 15;

pub fn findings(file: &SourceFile) -> Vec<Finding> {
    [length(file), module_doc(file), strict_script(file)].into_iter().flatten().collect()
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    if !file.is_rust() || lines <= WANTED_LINES {
        return None;
    }
    let weight = if lines < MAX_LINES { Weight::Warning } else { Weight::Error };
    let advice = format!(
        "{lines} lines; up to {WANTED_LINES} are wanted, {MAX_LINES} are never right: split it by noun or verb"
    );
    Some(Finding { weight, path: file.path.clone(), line: lines, rule: "length", advice })
}

fn module_doc(file: &SourceFile) -> Option<Finding> {
    let first = file.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!"))?;
    if !file.is_source() || first.starts_with("//!") {
        return None;
    }
    let advice = "begin with a //! doc: purpose, who calls it, what it does not do".to_owned();
    Some(Finding { weight: Weight::Error, path: file.path.clone(), line: 1, rule: "module-doc", advice })
}

fn strict_script(file: &SourceFile) -> Option<Finding> {
    let strict = |line: &str| {
        let line = line.trim();
        line.starts_with("set -euo pipefail")
            || ((line.starts_with(". ") || line.starts_with("source ")) && line.ends_with("setup.sh"))
    };
    if !file.is_shell() || file.text.lines().take(SCRIPT_HEAD).any(strict) {
        return None;
    }
    let advice = "write `set -euo pipefail`, or source scripts/setup.sh, before anything else".to_owned();
    Some(Finding { weight: Weight::Error, path: file.path.clone(), line: 1, rule: "strict-script", advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<(Weight, &'static str)> {
        findings(&SourceFile::new(path, text)).into_iter().map(|finding| (finding.weight, finding.rule)).collect()
    }

    #[test]
    fn long_files_are_warned_of_and_longer_ones_refused() {
        let lines = |n: usize| format!("//! Doc.\n{}", "\n".repeat(n - 1));
        assert_eq!(check("crates/x/src/a.rs", &lines(500)), []);
        assert_eq!(check("crates/x/src/a.rs", &lines(501)), [(Weight::Warning, "length")]);
        assert_eq!(check("crates/x/src/a.rs", &lines(1000)), [(Weight::Error, "length")]);
        assert_eq!(check("Cargo.lock", &lines(3000)), []);
    }

    #[test]
    fn source_files_say_what_they_are_for() {
        assert_eq!(check("crates/x/src/a.rs", "use x;\n"), [(Weight::Error, "module-doc")]);
        assert_eq!(check("crates/x/src/a.rs", "\n//! Doc.\nuse x;\n"), []);
        assert_eq!(check("crates/x/tests/a.rs", "use x;\n"), []);
        assert_eq!(check("crates/x/src/a/tests.rs", "use x;\n"), []);
    }

    #[test]
    fn scripts_stop_at_errors() {
        assert_eq!(check("demo", "#!/usr/bin/env bash\ncd x\n"), [(Weight::Error, "strict-script")]);
        assert_eq!(check("demo", "#!/usr/bin/env bash\n. scripts/setup.sh\n"), []);
        assert_eq!(check("x.sh", "# Doc.\n\nset -euo pipefail\n"), []);
        assert_eq!(check("demo", "plain text\n"), []);
    }
}
