//! Starts containers by the engine's own launch path and tells how long each took until its program ran: the part of
//! `cargo xtask bench start` that must be inside the engine.
//!
//! `start EXE LAYER PROGRAM DIRECTORY`: EXE is the program to re-execute (`tapit`), LAYER an unpacked image, PROGRAM the
//! path in it of one that prints the nanoseconds since the epoch. For every line on standard input one container is made
//! and removed; the answer is a line with both times. The container has no network but its own loopback.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use tapit_container::instance::{EtcFiles, IdRange, InstanceDir, LogBounds, Order, StopSignal, WaitOutcome, launch};
use tapit_container::linux::cgroup::Root;
use tapit_model::{AppName, CpuMillis, InstanceId, InstanceKey, InstanceKind, MemoryMib, ProcessName, Size};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [exe, layer, program, directory] = words.as_slice() else {
        return Err("start EXE LAYER PROGRAM DIRECTORY".into());
    };
    let root = Root::ensure(&format!("tapit-bench-{}", std::process::id()))?;
    let mut result = Ok(());
    for (serial, line) in (1..).zip(std::io::stdin().lock().lines()) {
        line?;
        let dir = InstanceDir::new(PathBuf::from(directory).join(serial.to_string()));
        let order = order(&root, layer, program, serial)?;
        result = once(&PathBuf::from(exe), &dir, &order).await;
        dir.remove()?;
        if result.is_err() {
            break;
        }
    }
    root.remove()?;
    result
}

/// From just before the call to the first thing that the program does.
async fn once(exe: &std::path::Path, dir: &InstanceDir, order: &Order) -> Result<(), Failure> {
    dir.create()?;
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let running = launch(exe, dir, order).await?;
    match running.wait_exit().await {
        WaitOutcome::Exited(exit) if exit.code == Some(0) => {}
        WaitOutcome::Exited(exit) => return Err(format!("the program ended with {}", exit.describe()).into()),
        WaitOutcome::Lost(text) => return Err(text.into()),
    }
    let lines = dir.log_tail(1);
    let ran = lines.first().ok_or("the program has said nothing")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{begun} {}", ran.text.trim())?;
    out.flush()?;
    Ok(())
}

fn order(root: &Root, layer: &str, program: &str, serial: u64) -> Result<Order, Failure> {
    let process = ProcessName::parse("bench")?;
    let id = InstanceId::of_serial(&process, serial);
    Ok(Order {
        key: InstanceKey { app: AppName::parse("bench")?, id },
        process,
        kind: InstanceKind::Demand,
        generation: 1,
        slot: 0,
        serial,
        restarts: 0,
        layers: vec![layer.into()],
        argv: vec![program.to_owned()],
        env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        // What an app gets by default.
        ids: Some(IdRange { base: 1_000_000 }),
        cap_add: Default::default(),
        hostname: "bench".to_owned(),
        size: Size { memory: MemoryMib::from_mib(64), cpu: CpuMillis::from_millis(1000) },
        pids: 1024,
        cpu_weight: 100,
        oom_score_adj: 0,
        stop_signal: StopSignal::TERM,
        network: None,
        cgroup: root.leaf(&format!("bench.{serial}"))?,
        log: LogBounds::default(),
        etc: EtcFiles::default(),
    })
}
