//! What the command line finds around it: environment, working directory, user. Read once, by `main.rs`; tests make
//! their own.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub environment: BTreeMap<String, String>,
    pub directory: PathBuf,
    pub root: bool,
}

impl Surroundings {
    /// Those of this program. Variables that are not UTF-8 are left out: none of ours can legally be so.
    pub fn of_this_program() -> Self {
        let utf8 = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(utf8).collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            // The owner of /proc/self is the effective user, which spares a system call that only `unsafe` code reaches.
            root: std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0),
        }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
