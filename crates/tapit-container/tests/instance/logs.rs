//! What a container writes.

use std::fs;

use tapit_container::instance::{LogBounds, Stream};

use crate::host::Host;

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
    let (dir, mut order) = host.order(&["seq", "1", "30000"]);
    order.log = LogBounds { file_bytes: 100_000, files: 3 };
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let size = |name: &str| fs::metadata(instance.dir.path().join(name)).map(|file| file.len()).ok();
    for name in ["log", "log.1", "log.2"] {
        assert!(size(name).is_some_and(|size| size <= 100_000), "{name} {:?}", size(name));
    }
    assert_eq!(size("log.3"), None);
    let texts = instance.texts();
    let expected: Vec<String> = (30_001 - texts.len()..=30_000).map(|n| n.to_string()).collect();
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
