//! `bench siblings`: how long answers of one process take while another one misbehaves.

use std::time::{Duration, Instant};

use super::rig::Rig;
use super::table::{self, Row, quantile};
use super::{Bench, BenchError, IDLE_IMAGE, IMAGE, millis};
use crate::http::Connection;

/// Of a round.
const REQUESTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);
/// For the trouble to be in full swing.
const SETTLE: Duration = Duration::from_secs(1);

/// Each in the size that its user would give it: half a cpu, 64 MB.
const TROUBLES: [(&str, &str); 7] = [
    ("forks", "b() { b | b & }; b; sleep 1000"),
    ("memory", "x=0123456789abcdef; while :; do x=$x$x; done"),
    ("cpu", "while :; do :; done & while :; do :; done"),
    ("logs", "busybox yes a line of a log that nobody asked for"),
    // Opens files to its limit, and once more.
    ("descriptors", "while :; do busybox awk 'BEGIN { while (1) print > \"/tmp/\" (i++) }' 2>/dev/null; done"),
    ("orphans", "while :; do (busybox true &); done"),
    ("children", "while :; do busybox tail -f /dev/null & done"),
];

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    rig.tapit(&format!("create app shop image={IMAGE} memory=0.06 cpu=0.5 --wait"))?;
    let mut quiet = Row::new("nothing beside it");
    let mut rows: Vec<_> = TROUBLES.iter().map(|(name, _)| Row::new(*name)).collect();
    for _ in 0..bench.rounds {
        quiet.values.push(slow_answer(&rig, &quiet.what)?);
        for ((name, command), row) in TROUBLES.iter().zip(&mut rows) {
            let create = ["-a", "shop", "create", "process", &format!("name={name}")];
            let rest = [&format!("image={IDLE_IMAGE}"), "memory=0.06", "cpu=0.5", "port=none", "stop_timeout=1s"];
            rig.words(&[&create[..], &rest, &[&format!("command={command}")]].concat())?;
            std::thread::sleep(SETTLE);
            row.values.push(slow_answer(&rig, name)?);
            rig.tapit(&format!("-a shop delete process name={name} --force --wait"))?;
        }
    }
    rows.insert(0, quiet);
    table::print(&format!("the 99th of a hundred answers, of {REQUESTS} a round"), "ms", &rows);
    Ok(())
}

/// How long the slowest but one percent of answers took, in milliseconds.
fn slow_answer(rig: &Rig, beside: &str) -> Result<f64, BenchError> {
    let late =
        |error: std::io::Error| BenchError::Late { what: format!("answers beside {beside}"), seen: error.to_string() };
    let mut connection = Connection::open(rig.http()).map_err(late)?;
    let mut took = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        connection.get("shop.localhost", "/").map_err(late)?;
        took.push(millis(begun.elapsed()));
        std::thread::sleep(PAUSE);
    }
    Ok(quantile(&took, 0.99).unwrap_or_default())
}
