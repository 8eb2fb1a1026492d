//! What our own processes take: the server, and beside each container the monitor and the init that we put there.
//!
//! Proportional shares (PSS) are added up, so pages of the one program file that all of them run are counted once.

use std::path::Path;

use super::BenchError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// KiB.
    pub server_rss: u64,
    /// KiB.
    pub server_pss: u64,
    /// KiB.
    pub per_instance: u64,
    pub instances: u64,
}

/// The hidden verbs under which the program stays beside a container.
const HELPERS: [&str; 3] = ["__monitor", "__sealed", "__shim"];
const MONITOR: &str = "__monitor";

pub fn measure(server: u32, data: impl AsRef<Path>) -> Result<Memory, BenchError> {
    let data = data.as_ref().display().to_string();
    let (mut total, mut instances) = (0, 0);
    let proc = Path::new("/proc");
    let entries = std::fs::read_dir(proc).map_err(|source| BenchError::Read { path: proc.to_owned(), source })?;
    for entry in entries.flatten() {
        // A process that ends meanwhile reads as nothing.
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = command.split('\0').skip(1);
        let verb = words.next().unwrap_or_default();
        if HELPERS.contains(&verb) && words.next().is_some_and(|directory| directory.starts_with(&data)) {
            total += field(&entry.path(), "Pss:")?;
            instances += u64::from(verb == MONITOR);
        }
    }
    let server = proc.join(server.to_string());
    Ok(Memory {
        server_rss: field(&server, "Rss:")?,
        server_pss: field(&server, "Pss:")?,
        per_instance: total / instances.max(1),
        instances,
    })
}

fn field(process: &Path, name: &str) -> Result<u64, BenchError> {
    let path = process.join("smaps_rollup");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text, name)),
        Err(source) => Err(BenchError::Read { path, source }),
    }
}

/// A field of `smaps_rollup` in KiB.
fn parse(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().strip_suffix("kB").and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_kib() {
        let text =
            "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:               12604 kB\nPss:                4567 kB\n";
        assert_eq!((parse(text, "Rss:"), parse(text, "Pss:"), parse(text, "Swap:")), (12604, 4567, 0));
    }
}
