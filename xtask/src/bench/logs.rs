//! `bench logs`: how fast lines of 80 bytes get into the log, and whether all of them do, beside docker's json-file.

use std::time::{Duration, Instant};

use super::docker::Docker;
use super::rig::Rig;
use super::table::{self, Row};
use super::{Bench, BenchError, IMAGE, millis};

/// What is written in all, and in how many lines: the default log of an instance keeps 30 MB, so this much is kept whole.
const LINES: usize = 200_000;
const LINE: usize = 80;
const ROUNDS: usize = 5;

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    let docker = Docker::find(&rig)?;
    let script = script();
    let (mut ours, mut theirs) = (Row::new("tapit"), Row::new("docker, json-file"));
    let mut kept = 0;
    for round in 0..bench.rounds.min(ROUNDS) {
        let app = format!("logs{round}");
        let begun = Instant::now();
        rig.words(&[
            "create",
            "app",
            &app,
            &format!("image={IMAGE}"),
            "memory=0.06",
            "cpu=2",
            "port=none",
            &format!("command={script}; sleep 1000"),
        ])?;
        kept = lines_of(&rig, &app)?;
        ours.values.push(rate(begun.elapsed()));
        rig.tapit(&format!("-a {app} delete app --force --wait"))?;
        if let Some(docker) = &docker {
            let begun = Instant::now();
            let container = docker.start(&[IMAGE, "sh", "-c", &script])?;
            docker.run(&["wait", &container.id])?;
            theirs.values.push(rate(begun.elapsed()));
        }
    }
    table::print("lines of 80 bytes into the log, start and end included", "MB/s", &[ours, theirs]);
    println!("of {LINES} lines {} were lost", LINES.saturating_sub(kept));
    Ok(())
}

/// busybox has nothing faster than `yes` to write lines with.
fn script() -> String {
    let line = "x".repeat(LINE - 1);
    format!("busybox yes {line} | busybox head -n {LINES}")
}

fn rate(time: Duration) -> f64 {
    (LINES * LINE) as f64 / 1e6 / (millis(time) / 1000.0)
}

/// Waits until no more lines come, or all are there.
fn lines_of(rig: &Rig, app: &str) -> Result<usize, BenchError> {
    let mut before = (0, Instant::now());
    loop {
        let now = count(rig, app);
        if now >= LINES || (now == before.0 && before.1.elapsed() > Duration::from_secs(3)) {
            return Ok(now);
        }
        if now != before.0 {
            before = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// By size first, because counting takes longer than writing.
fn count(rig: &Rig, app: &str) -> usize {
    let directory = rig.data().join("instances").join(app).join("default");
    let serials = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let files = serials.flat_map(|serial| std::fs::read_dir(serial.path()).into_iter().flatten().flatten());
    let logs: Vec<_> = files.filter(|file| file.file_name().to_string_lossy().starts_with("log")).collect();
    let bytes: u64 = logs.iter().filter_map(|log| log.metadata().ok()).map(|meta| meta.len()).sum();
    if bytes < (LINES * LINE) as u64 {
        return 0;
    }
    let texts = logs.iter().filter_map(|log| std::fs::read(log.path()).ok());
    texts.map(|text| text.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"xxxx")).count()).sum()
}
