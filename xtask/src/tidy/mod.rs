//! `cargo xtask tidy`: house rules as a program, so that they hold without anybody remembering them.
//!
//! `files` reads the tree, `text` tells code from comments and tests, and each of `layers`, `words`, `shape` and
//! `functions` holds one kind of rule. The rules look at text, never at types: they are cheap and say what they found where.

mod files;
mod functions;
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
    /// Wanted, not required: counted, and listed when asked for.
    Hint,
    /// Worth a look: listed.
    Warning,
    /// Not to be merged.
    Error,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let weight = match self.weight {
            Weight::Hint => "hint: ",
            Weight::Warning => "warning: ",
            Weight::Error => "",
        };
        write!(f, "{weight}{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// Which findings are printed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Errors and warnings; hints are only counted.
    Brief,
    Full,
}

/// Prints what was found; answers whether there was no error among it.
pub fn run(root: &Path, listing: Listing) -> Result<bool, TidyError> {
    let tree = Tree::read(root)?;
    let findings = findings(&tree)?;
    let count = |weight| findings.iter().filter(|finding| finding.weight == weight).count();
    for finding in findings.iter().filter(|finding| listing == Listing::Full || finding.weight != Weight::Hint) {
        eprintln!("{finding}");
    }
    let (errors, hints) = (count(Weight::Error), count(Weight::Hint));
    if hints > 0 && listing == Listing::Brief {
        println!("tidy: {hints} hints; `cargo xtask tidy --hints` lists them");
    }
    if errors > 0 {
        eprintln!("tidy: {errors} rules broken in {} files looked at", tree.files.len());
    }
    Ok(errors == 0)
}

fn findings(tree: &Tree) -> Result<Vec<Finding>, TidyError> {
    let mut findings = layers::findings(tree)?;
    findings.extend(tree.files.iter().flat_map(words::findings));
    findings.extend(tree.files.iter().flat_map(shape::findings));
    findings.extend(tree.files.iter().flat_map(functions::findings));
    findings.sort();
    Ok(findings)
}
