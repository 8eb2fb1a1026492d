//! `bench ecs`: what the engine for ECS costs of this machine with 200 apps and 2,000 processes, on a simulated account.
//!
//! The scene and the measuring are a test of `tapit-ecs`, which is run here in release; this reads its figures.

use std::process::Command;

use super::table::{self, Row};
use super::{Bench, BenchError};
use crate::command;

const TEST: &str = "measured::cpu_and_memory_of_a_pass";

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(bench.root).args(["test", "--quiet", "--release", "--package", "tapit-ecs", "--test", "scale"]);
    let said = command::succeed(cargo.args(["--", "--ignored", "--exact", "--nocapture", TEST]))?;
    let rows = [("pass", "a new server looks at everything"), ("idle", "an idle minute")];
    let rows = rows.map(|(name, what)| Row { what: what.to_owned(), values: figures(&said, name) });
    table::print("our cpu with 2,000 processes in 200 apps", "ms", &rows);
    let memory = Row { what: "one engine".to_owned(), values: figures(&said, "memory") };
    table::print("resident memory", "MiB", &[memory]);
    Ok(())
}

/// Lines of `figure NAME NUMBER`.
fn figures(said: &str, name: &str) -> Vec<f64> {
    let of = |line: &str| line.strip_prefix("figure ")?.strip_prefix(name)?.trim().parse().ok();
    said.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_other_lines() {
        let said = "running 1 test\nfigure pass 12.5\nfigure idle 3\nfigure pass 11.0\nok";
        assert_eq!(figures(said, "pass"), [12.5, 11.0]);
        assert_eq!(figures(said, "memory"), Vec::<f64>::new());
    }
}
