//! `cargo xtask tidy`: house rules as a program, so that they hold without anybody remembering them.
//!
//! `files` reads the tree, `text` tells code from comments and tests, and each of `layers`, `words` and `shape` holds one
//! kind of rule. The rules look at text, never at types: they are cheap and say what they found where.

mod files;
mod layers;
mod shape;
mod text;
mod words;

use std::path::{Path, PathBuf};

use files::Tree;

#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not TOML")]
    Toml { path: PathBuf, source: toml::de::Error },
}

/// A rule that is broken, or nearly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub weight: Weight,
    /// From the workspace's root.
    pub path: String,
    /// From 1.
    pub line: usize,
    pub rule: &'static str,
    /// What to do.
    pub advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Warning,
    Error,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let weight = match self.weight {
            Weight::Warning => "warning: ",
            Weight::Error => "",
        };
        write!(f, "{weight}{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// Prints every finding; answers whether there was no error among them.
pub fn run(root: &Path) -> Result<bool, TidyError> {
    let tree = Tree::read(root)?;
    let findings = findings(&tree)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.weight == Weight::Error).count();
    if errors > 0 {
        eprintln!("tidy: {errors} rules broken in {} files looked at", tree.files.len());
    }
    Ok(errors == 0)
}

fn findings(tree: &Tree) -> Result<Vec<Finding>, TidyError> {
    let mut findings = layers::findings(tree)?;
    findings.extend(tree.files.iter().flat_map(words::findings));
    findings.extend(tree.files.iter().flat_map(shape::findings));
    findings.sort();
    Ok(findings)
}
