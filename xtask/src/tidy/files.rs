//! The files that the rules are about: everything of ours that is text, and nothing that was built.

use std::path::Path;

use super::TidyError;

/// Directories that hold no source of ours.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// A file as the rules see it.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// From the workspace's root, with slashes.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    #[cfg(test)]
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub fn is_shell(&self) -> bool {
        let first = self.text.lines().next().unwrap_or_default();
        self.path.ends_with(".sh") || (first.starts_with("#!") && (first.ends_with("sh")))
    }

    /// The crate that a file belongs to: the directory's name below `crates/`, or `xtask`.
    pub fn owner(&self) -> Option<&str> {
        match self.path.strip_prefix("crates/") {
            Some(rest) => rest.split('/').next(),
            None => self.path.starts_with("xtask/").then_some("xtask"),
        }
    }

    /// Whether the whole file is test code: below a directory `tests`, or a test module of its own.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// Whether it is part of a library or program, not of its tests or examples.
    pub fn is_source(&self) -> bool {
        self.is_rust() && self.path.contains("/src/") && !self.is_test()
    }
}

pub struct Tree {
    pub files: Vec<SourceFile>,
}

impl Tree {
    pub fn read(root: &Path) -> Result<Self, TidyError> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<SourceFile>) -> Result<(), TidyError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| TidyError::Read { path, source }
    };
    for entry in std::fs::read_dir(directory).map_err(wrong(directory))? {
        let entry = entry.map_err(wrong(directory))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(wrong(&path))?;
        if kind.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() {
            // What is not UTF-8 is no text of ours; a file that vanished meanwhile was an editor's.
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                    files.push(SourceFile { path: relative, text });
                }
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotFound) => {}
                Err(source) => return Err(TidyError::Read { path, source }),
            }
        }
    }
    Ok(())
}
