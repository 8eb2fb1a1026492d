//! What a container writes.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use nix::sys::signal::{Signal as Unix, kill};
use nix::unistd::Pid;
use tapit_container::instance::{Adopted, InstanceDir, LogBounds, LogCursor, Running, Stream};

use crate::host::{EXE, Host, Instance, eventually};

#[tokio::test]
async fn lines_are_kept_with_time_and_stream_and_the_last_one_without_its_end_too() {
    let host = Host::new();
    let instance = host.shell("echo one; echo two >&2; echo -n three").await;
    instance.exit().await;
    let mut lines: Vec<_> =
        instance.dir.log_tail(10).into_iter().map(|line| (line.stream, line.text, line.at)).collect();
    for (.., at) in &lines {
        assert!(at.len() == "2026-01-02T03:04:05.678Z".len() && at.ends_with('Z'), "{at}");
    }
    // The streams are pipes of their own, so their order among each other is not known.
    lines.sort_by_key(|(stream, ..)| *stream == Stream::Stderr);
    let lines: Vec<_> = lines.iter().map(|(stream, text, _)| (*stream, text.as_str())).collect();
    assert_eq!(lines, [(Stream::Stdout, "one"), (Stream::Stdout, "three"), (Stream::Stderr, "two")]);
}

#[tokio::test]
async fn a_log_is_rotated_and_bounded_while_the_container_writes() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["seq", "1", "80000"]);
    order.log = LogBounds { file_bytes: 100_000, files: 3 };
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let names = fs::read_dir(instance.dir.path()).expect("lists").flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with("log."));
    let size = |name: &str| fs::metadata(instance.dir.path().join(name)).map_or(0, |file| file.len());
    assert_eq!(names.len(), 6, "{names:?}");
    for data in names.iter().filter(|name| !name.ends_with(".idx")) {
        let size = size(data) + size(&format!("{data}.idx"));
        assert!(size <= 100_000, "{data} {size}");
    }
    let texts = instance.texts();
    let expected: Vec<String> = (80_001 - texts.len()..=80_000).map(|n| n.to_string()).collect();
    assert!(texts.len() > 3000 && texts == expected, "{}", texts.len());
}

#[tokio::test]
async fn lines_without_end_are_split_and_bytes_that_are_no_text_do_no_harm() {
    let host = Host::new();
    let instance = host.shell("dd if=/dev/zero bs=1000 count=100 2>/dev/null").await;
    instance.exit().await;
    let lengths: Vec<usize> = instance.texts().iter().map(String::len).collect();
    assert_eq!(lengths, [16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 1696]);
}

#[tokio::test]
async fn a_program_may_open_its_standard_output_by_name_also_as_a_plain_user() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["sh", "-c", "echo by name > /dev/stdout; echo too > /dev/stderr"]);
    order.user = "app".into();
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let mut texts = instance.texts();
    texts.sort();
    assert_eq!(texts, ["by name", "too"]);
}

/// How much the container has written, as far as it is in the log.
fn position(dir: &InstanceDir) -> u64 {
    let (_, cursor) = dir.log_last(0, None);
    serde_json::to_value(cursor).expect("encodes")["offset"].as_u64().expect("is a number")
}

/// Kills the monitor and has another one take its place; answers the handle that has seen to it.
async fn kill_monitor(dir: &InstanceDir) -> Option<Running> {
    let pid = Pid::from_raw(dir.record().found().expect("is recorded").monitor.pid);
    // It is gone when a new one has not come so far as to say its name.
    let _ = kill(pid, Unix::SIGKILL);
    let stat = format!("/proc/{pid}/stat");
    eventually("it is gone", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))).await;
    match dir.adopt(EXE.as_ref()).expect("looks") {
        Adopted::Alive(running) => Some(running),
        Adopted::Exited(_) => None,
        Adopted::Lost(text) => panic!("{text}"),
        Adopted::NeverStarted => panic!("was never started"),
    }
}

/// The lines of each output, in order.
fn all_lines(dir: &InstanceDir) -> BTreeMap<&'static str, Vec<u32>> {
    let mut found: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    let mut cursor: Option<LogCursor> = None;
    loop {
        let (lines, next) = dir.log_read(cursor.as_ref(), 10_000);
        if lines.is_empty() {
            return found;
        }
        for line in lines {
            let number = line.text.parse().unwrap_or_else(|_| panic!("a torn line: {line}"));
            found.entry(line.stream.as_str()).or_default().push(number);
        }
        cursor = Some(next);
    }
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_when_monitors_are_killed_while_the_container_writes() {
    const LINES: u32 = 1_500_000;
    const KILLS: u32 = 15;
    let host = Host::new();
    let script = format!("seq 1 {LINES} & seq 1 {LINES} >&2; wait");
    let (dir, mut order) = host.order(&["sh", "-c", &script]);
    order.log = LogBounds { file_bytes: 1 << 20, files: 1000 };
    let instance = host.start(dir, order).await;
    let mut running = None;
    let mut kills = 0;
    while kills < KILLS {
        // Every third one is killed as it comes, the others at work.
        if kills % 3 != 0 {
            let before = position(&instance.dir);
            let grown = || position(&instance.dir) > before + 100_000 || instance.dir.exit().found().is_some();
            eventually("it writes on", grown).await;
        }
        match kill_monitor(&instance.dir).await {
            Some(adopted) => running = Some(adopted),
            None => break,
        }
        kills += 1;
    }
    let running = running.expect("was killed while it wrote");
    let instance = Instance { running, ..instance };
    assert_eq!(instance.exit().await.code, Some(0));
    let found = all_lines(&instance.dir);
    for stream in ["stdout", "stderr"] {
        let numbers = &found[stream];
        let wrong = numbers.iter().zip(1u32..).position(|(found, expected)| *found != expected);
        assert_eq!((numbers.len(), wrong), (LINES as usize, None), "{stream}");
    }
    println!("{kills} monitors killed under {} lines: none lost, none doubled", 2 * LINES);
}

#[tokio::test]
async fn a_flood_of_output_is_kept_to_the_last_byte_within_its_bounds() {
    const BYTES: u64 = 400_000_000;
    const PART: u64 = 8_000_000;
    let host = Host::new();
    let line = "x".repeat(79);
    // Made once, so that not the making is measured.
    let script =
        format!("yes {line} | head -c {PART} > /tmp/lines; for i in $(seq {}); do cat /tmp/lines; done", BYTES / PART);
    let (dir, order) = host.order(&["sh", "-c", &script]);
    let begin = Instant::now();
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let took = begin.elapsed();
    assert_eq!(position(&instance.dir), BYTES);
    assert!(instance.dir.log_tail(10_000).iter().all(|kept| kept.text == line));
    println!("{:.0} MB/s of 80-byte lines", BYTES as f64 / 1e6 / took.as_secs_f64());
}
