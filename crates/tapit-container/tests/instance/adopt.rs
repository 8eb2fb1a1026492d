//! Servers, shims and monitors that die, and what the next server finds.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal as Unix, kill};
use nix::unistd::Pid;
use tapit_container::instance::{Adopted, InstanceDir, ProcessStamp, Record, Signal, Stored, WaitOutcome, launch};
use tapit_model::{CpuMillis, MemoryMib, Size};

use crate::host::{EXE, Host, Instance, PATIENCE, eventually};

fn adopt(dir: &InstanceDir) -> Adopted {
    dir.adopt(EXE.as_ref()).expect("looks")
}

fn record(dir: &InstanceDir) -> Record {
    dir.record().found().expect("is recorded")
}

fn runs(stamp: ProcessStamp) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", stamp.pid)).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn started(host: &Host) -> Instance {
    let instance = host.shell("echo ready; sleep 1000").await;
    instance.wrote("ready").await;
    instance
}

#[tokio::test]
async fn a_container_whose_handle_was_dropped_is_adopted_as_it_is() {
    let host = Host::new();
    let Instance { dir, running, .. } = started(&host).await;
    let resized = Size { memory: MemoryMib::from_mib(96), cpu: CpuMillis::from_millis(500) };
    running.resize(resized).expect("resizes");
    let (pid, started_at) = (running.pid(), running.started_at());
    drop(running);
    let Adopted::Alive(running) = adopt(&dir) else { panic!("is not alive") };
    assert_eq!((running.pid(), running.started_at(), running.size()), (pid, started_at, resized));
    running.usage().expect("is measured");
    running.signal(Signal::Stop).expect("signals");
    let WaitOutcome::Exited(exit) = running.wait_exit().await else { panic!("is lost") };
    assert_eq!(exit.code, Some(143));
    assert!(matches!(adopt(&dir), Adopted::Exited(found) if found == exit));
    assert_eq!(dir.log_tail(10).len(), 1);
}

#[tokio::test]
async fn a_container_outlives_the_server_that_started_it() {
    let host = Host::new();
    let script = "echo ready; trap 'echo going; exit 4' TERM; while :; do echo tick; sleep 0.01; done";
    let (dir, order) = host.order(&["sh", "-c", script]);
    dir.write_order(&order).expect("writes");
    // A shell stands for the server: the shim's parent, killed without warning, with nobody left to read the answer.
    let shim = format!("echo | '{EXE}' __shim '{}'; true", dir.path().display());
    let mut server = Command::new("/bin/sh").args(["-c", &shim]).stdout(Stdio::piped()).spawn().expect("runs");
    eventually("it runs", || !dir.log_tail(1).is_empty()).await;
    server.kill().expect("kills");
    server.wait().expect("reaps");
    drop(server);
    let lines = dir.log_tail(10_000).len();
    eventually("it goes on writing", || dir.log_tail(10_000).len() > lines + 10).await;
    let Adopted::Alive(running) = adopt(&dir) else { panic!("is not alive") };
    running.signal(Signal::Stop).expect("signals");
    let outcome = tokio::time::timeout(PATIENCE, running.wait_exit()).await.expect("ends");
    assert!(matches!(outcome, WaitOutcome::Exited(exit) if exit.code == Some(4)), "{outcome:?}");
}

/// Kills the monitor that is recorded, once it is there.
fn kill_monitor(dir: &InstanceDir) -> ProcessStamp {
    let monitor = record(dir).monitor;
    // It may have been killed before.
    let _ = kill(Pid::from_raw(monitor.pid), Unix::SIGKILL);
    monitor
}

#[tokio::test]
async fn a_monitor_that_is_killed_is_replaced_and_the_container_goes_on() {
    let host = Host::new();
    let script = "echo ready; trap 'echo going; exit 4' TERM; while :; do echo tick; sleep 0.01; done";
    let instance = host.shell(script).await;
    instance.wrote("ready").await;
    let init = record(&instance.dir).init;
    let running = std::sync::Arc::new(instance.running);
    let waiting = std::sync::Arc::clone(&running);
    let outcome = tokio::spawn(async move { waiting.wait_exit().await });
    for _ in 0..2 {
        let gone = kill_monitor(&instance.dir);
        eventually("another one is there", || record(&instance.dir).monitor != gone).await;
        let lines = instance.dir.log_tail(10_000).len();
        eventually("it keeps what is written", || instance.dir.log_tail(10_000).len() > lines + 10).await;
    }
    assert!(runs(init) && record(&instance.dir).init == init);
    running.signal(Signal::Stop).expect("signals");
    let outcome = tokio::time::timeout(PATIENCE, outcome).await.expect("ends").expect("is waited for");
    assert!(
        matches!(&outcome, WaitOutcome::Exited(exit) if exit.code == Some(4) && exit.signal.is_none()),
        "{outcome:?}"
    );
    let last = instance.dir.log_tail(1);
    assert_eq!(last[0].text, "going");
    instance.dir.release().expect("releases");
    instance.dir.remove().expect("removes");
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[tokio::test]
async fn a_container_that_is_killed_together_with_its_monitor_is_known_to_have_been_killed() {
    let host = Host::new();
    let instance = started(&host).await;
    let record = record(&instance.dir);
    for pid in [record.monitor.pid, record.init.pid] {
        kill(Pid::from_raw(pid), Unix::SIGKILL).expect("kills");
    }
    let exit = instance.exit().await;
    assert_eq!((exit.code, exit.signal), (Some(137), Some(9)));
    assert_eq!(instance.texts(), ["ready"]);
}

/// Until it is aborted.
fn keep_killing_monitors(dir: &InstanceDir) -> tokio::task::JoinHandle<()> {
    let dir = dir.clone();
    tokio::spawn(async move {
        loop {
            kill_monitor(&dir);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test]
async fn a_container_whose_monitors_are_killed_again_and_again_is_lost_and_nothing_of_it_runs() {
    let host = Host::new();
    let instance = started(&host).await;
    let init = record(&instance.dir).init;
    let killer = keep_killing_monitors(&instance.dir);
    let outcome = tokio::time::timeout(PATIENCE, instance.running.wait_exit()).await.expect("is noticed");
    killer.abort();
    match outcome {
        WaitOutcome::Lost(text) => {
            assert!(text.contains("so were those that took its place; the container was still"), "{text}")
        }
        WaitOutcome::Exited(exit) => panic!("{exit:?}"),
    }
    assert!(!runs(init));
    assert_eq!(instance.texts(), ["ready"]);
    instance.dir.remove().expect("removes");
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[tokio::test]
async fn an_end_that_no_monitor_can_record_is_told_as_the_program_ended() {
    let host = Host::new();
    let instance = host.shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done").await;
    eventually("it is ready", || !instance.dir.log_tail(1).is_empty()).await;
    let init = record(&instance.dir).init;
    // In the place of the record while it is written; a monitor tries for seconds, like one on a full disk.
    std::fs::create_dir(instance.dir.path().join("exit.json.new")).expect("a directory");
    instance.running.signal(Signal::Stop).expect("signals");
    eventually("the container is gone", || !runs(init)).await;
    let killer = keep_killing_monitors(&instance.dir);
    let outcome = tokio::time::timeout(PATIENCE, instance.running.wait_exit()).await.expect("is noticed");
    killer.abort();
    assert!(matches!(outcome, WaitOutcome::Exited(exit) if exit.code == Some(7)), "{outcome:?}");
    instance.dir.remove().expect("removes");
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[tokio::test]
async fn a_container_whose_monitor_was_killed_while_no_server_ran_goes_on_with_another() {
    let host = Host::new();
    let Instance { dir, running, .. } = started(&host).await;
    drop(running);
    let before = record(&dir);
    let gone = kill_monitor(&dir);
    eventually("the monitor is gone", || !runs(gone)).await;
    let Adopted::Alive(running) = adopt(&dir) else { panic!("is not alive") };
    assert_eq!(running.pid(), before.init.pid);
    running.signal(Signal::Stop).expect("signals");
    let outcome = tokio::time::timeout(PATIENCE, running.wait_exit()).await.expect("ends");
    assert!(matches!(outcome, WaitOutcome::Exited(exit) if exit.signal == Some(15)), "{outcome:?}");
    dir.remove().expect("removes");
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[tokio::test]
async fn an_end_that_nobody_watched_is_known_if_the_program_ended_by_itself() {
    let host = Host::new();
    for (script, expected) in [
        ("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", Some(7)),
        ("echo ready; exec sleep 1000", None),
    ] {
        let Instance { dir, running, .. } = host.shell(script).await;
        eventually("it is ready", || !dir.log_tail(1).is_empty()).await;
        drop(running);
        let before = record(&dir);
        let gone = kill_monitor(&dir);
        eventually("the monitor is gone", || !runs(gone)).await;
        let signal = if expected.is_some() { Unix::SIGTERM } else { Unix::SIGKILL };
        kill(Pid::from_raw(before.init.pid), signal).expect("signals");
        eventually("the container is gone", || !runs(before.init)).await;
        match (adopt(&dir), expected) {
            (Adopted::Exited(exit), Some(code)) => assert_eq!((exit.code, exit.signal), (Some(code), None)),
            (Adopted::Lost(text), None) => assert_eq!(text, "its monitor is gone"),
            _ => panic!("{script}"),
        }
        dir.remove().expect("removes");
    }
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[tokio::test]
async fn a_start_that_never_came_to_anything_is_known_as_such() {
    let host = Host::new();
    let (dir, order) = host.order(&["true"]);
    assert!(matches!(adopt(&dir), Adopted::NeverStarted));
    dir.write_order(&order).expect("writes");
    assert!(matches!(adopt(&dir), Adopted::NeverStarted));
    dir.remove().expect("removes");
    assert!(!dir.path().exists());
    assert!(matches!(adopt(&dir), Adopted::NeverStarted));
}

#[tokio::test]
async fn records_of_other_processes_other_boots_or_no_sense_are_not_believed() {
    let host = Host::new();
    let bystander = Command::new("sleep").arg("1000").spawn().expect("runs");
    let (dir, order) = host.order(&["true"]);
    dir.write_order(&order).expect("writes");
    let stamp = ProcessStamp { pid: bystander.id() as i32, start_ticks: 1 };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("reads").trim().to_owned();
    let of = |boot_id: &str| Record {
        protocol: 1,
        boot_id: boot_id.to_owned(),
        monitor: stamp,
        init: stamp,
        started_at: tapit_model::Timestamp(0),
    };
    for record in [of(&boot_id), of("another boot")] {
        fs::write(dir.path().join("record.json"), serde_json::to_vec(&record).expect("encodes")).expect("writes");
        assert!(matches!(adopt(&dir), Adopted::Lost(_)));
    }
    for text in ["", "{}", "[1,2", "\u{0}\u{0}"] {
        fs::write(dir.path().join("record.json"), text).expect("writes");
        assert!(matches!(adopt(&dir), Adopted::Lost(_)), "{text:?}");
    }
    assert!(runs(ProcessStamp { pid: bystander.id() as i32, start_ticks: 0 }), "a stranger was killed");
    fs::write(dir.path().join("order.json"), "{").expect("writes");
    assert!(matches!(dir.order(), Stored::Corrupt(_)) && dir.release().is_err());
    dir.remove().expect("removes");
    let mut bystander = bystander;
    bystander.kill().and_then(|()| bystander.wait()).expect("ends");
}

#[tokio::test]
async fn a_start_can_be_given_up_at_any_moment_without_a_trace() {
    let host = Host::new();
    for millis in 0..40 {
        let (dir, order) = host.order(&["sleep", "1000"]);
        let start = launch(EXE.as_ref(), &dir, &order);
        // Dropping the future leaves the shim at work, like a server that is killed.
        let _ = tokio::time::timeout(Duration::from_millis(millis), start).await;
        dir.release().expect("releases");
        dir.remove().expect("removes");
    }
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
    let path = host.path().to_string_lossy().into_owned();
    let mentions = |pid: &fs::DirEntry| {
        fs::read(pid.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&path))
    };
    eventually("no process of it is left", || {
        !fs::read_dir("/proc").expect("lists").flatten().any(|pid| mentions(&pid))
    })
    .await;
}
