//! `bench siblings`: how long answers of one process take while another one misbehaves.

use std::time::{Duration, Instant};

use super::rig::Rig;
use super::table::{self, Row, quantile};
use super::{Bench, BenchError, IDLE_IMAGE, IMAGE, millis};
use crate::http::Connection;

const REQUESTS: usize = 2000;
const PAUSE: Duration = Duration::from_millis(2);
/// For the trouble to be in full swing.
const SETTLE: Duration = Duration::from_secs(2);

/// Each in the size that its user would give it: half a cpu, 64 MB.
const TROUBLES: [(&str, &str); 5] = [
    ("forks", "b() { b | b & }; b; sleep 1000"),
    ("memory", "x=0123456789abcdef; while :; do x=$x$x; done"),
    ("cpu", "while :; do :; done & while :; do :; done"),
    ("logs", "busybox yes a line of a log that nobody asked for"),
    ("descriptors", "i=0; while :; do i=$((i+1)); : >/tmp/$i; busybox tail -f /tmp/$i & done"),
];

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    rig.tapit(&format!("create app shop image={IMAGE} memory=0.06 cpu=0.5 --wait"))?;
    let quiet = answers(&rig, "nothing beside it")?;
    let mut rows = vec![quiet];
    for (name, command) in TROUBLES {
        let create = ["-a", "shop", "create", "process", &format!("name={name}")];
        let rest = [&format!("image={IDLE_IMAGE}"), "memory=0.06", "cpu=0.5", "port=none", "stop_timeout=1s"];
        rig.words(&[&create[..], &rest, &[&format!("command={command}")]].concat())?;
        std::thread::sleep(SETTLE);
        rows.push(answers(&rig, name)?);
        rig.tapit(&format!("-a shop delete process name={name} --force --wait"))?;
    }
    let p99 = |row: &Row| quantile(&row.values, 0.99).unwrap_or_default();
    let base = p99(&rows[0]);
    let figures: Vec<_> =
        rows.iter().map(|row| (row.what.clone(), format!("{:.2} ms, x {:.1}", p99(row), p99(row) / base))).collect();
    table::print(&format!("{REQUESTS} answers through the router"), "ms", &rows);
    table::figures("of these the 99th of a hundred, and as a multiple of the quiet one", &figures);
    Ok(())
}

fn answers(rig: &Rig, what: &str) -> Result<Row, BenchError> {
    let mut row = Row::new(what);
    let late =
        |error: std::io::Error| BenchError::Late { what: format!("answers beside {what}"), seen: error.to_string() };
    let mut connection = Connection::open(rig.http()).map_err(late)?;
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        connection.get("shop.localhost", "/").map_err(late)?;
        row.values.push(millis(begun.elapsed()));
        std::thread::sleep(PAUSE);
    }
    Ok(row)
}
