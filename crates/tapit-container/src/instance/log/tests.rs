use super::*;
use tapit_monitor::index::{self, Chunk, Header};

/// Writes a segment of chunks: stream and text each, a millisecond apart.
fn segment(dir: &Path, number: u64, header: Header, chunks: &[(index::Stream, &str)]) -> u64 {
    let mut data = Vec::new();
    let mut index = header.encode().to_vec();
    for (at, (stream, text)) in chunks.iter().enumerate() {
        let start = header.base + data.len() as u64;
        index.extend(Chunk { at_ms: number * 1000 + at as u64, stream: *stream, start }.encode());
        data.extend_from_slice(text.as_bytes());
    }
    std::fs::write(dir.join(format!("log.{number}.idx")), index).expect("writes");
    std::fs::write(dir.join(format!("log.{number}")), &data).expect("writes");
    header.base + data.len() as u64
}

fn base(base: u64) -> Header {
    Header { base, continues: [false; 2] }
}

fn shown(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}", line.stream.as_str(), line.text)).collect()
}

const OUT: index::Stream = index::Stream::Stdout;
const ERR: index::Stream = index::Stream::Stderr;

#[test]
fn lines_are_put_together_across_chunks_streams_and_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    let next = segment(dir.path(), 1, base(0), &[(OUT, "one\ntw"), (ERR, "err"), (OUT, "o\n")]);
    segment(dir.path(), 2, base(next), &[(ERR, "or\n"), (OUT, "three")]);
    let (lines, cursor) = read(dir.path(), None, 100, Writer::Alive);
    assert_eq!(shown(&lines), ["stdout one", "stdout two", "stderr error"]);
    assert_eq!(lines[1].at, "1970-01-01T00:00:01.002Z");
    let (lines, _) = read(dir.path(), Some(&cursor), 100, Writer::Alive);
    assert!(lines.is_empty(), "the last line has no end yet");
    let (lines, end) = read(dir.path(), Some(&cursor), 100, Writer::Ended);
    assert_eq!(shown(&lines), ["stdout three"]);
    assert!(read(dir.path(), Some(&end), 100, Writer::Ended).0.is_empty());
}

#[test]
fn reading_in_steps_of_any_size_gives_each_line_once_also_by_way_of_json() {
    let dir = tempfile::tempdir().expect("a directory");
    let texts: Vec<String> = (0..200).map(|n| format!("{n}\n")).collect();
    let mut next = 0;
    for (at, texts) in texts.chunks(50).enumerate() {
        let chunks: Vec<_> =
            texts.iter().enumerate().map(|(n, text)| (if n % 3 == 0 { ERR } else { OUT }, &**text)).collect();
        next = segment(dir.path(), at as u64 + 1, base(next), &chunks);
    }
    for step in [1, 2, 7, 50, 1000] {
        let mut cursor: Option<LogCursor> = None;
        let mut all = Vec::new();
        loop {
            let (lines, next) = read(dir.path(), cursor.as_ref(), step, Writer::Alive);
            if lines.is_empty() {
                break;
            }
            all.extend(lines.into_iter().map(|line| line.text));
            let text = serde_json::to_string(&next).expect("encodes");
            cursor = Some(serde_json::from_str(&text).expect("decodes"));
        }
        assert_eq!(all, (0..200).map(|n| n.to_string()).collect::<Vec<_>>(), "{step}");
    }
}

#[test]
fn what_was_rotated_away_is_told_and_the_rest_of_a_torn_line_is_not_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    segment(dir.path(), 1, base(0), &[(OUT, "first\nsec")]);
    let (_, cursor) = read(dir.path(), None, 1, Writer::Alive);
    std::fs::remove_file(dir.path().join("log.1")).expect("removes");
    segment(dir.path(), 2, Header { base: 9, continues: [true, false] }, &[(OUT, "ond\nthird\n"), (ERR, "whole\n")]);
    let (lines, _) = read(dir.path(), Some(&cursor), 10, Writer::Alive);
    assert_eq!(
        shown(&lines),
        ["tapit 3 bytes of output were rotated away before they were read", "stdout third", "stderr whole"]
    );
    assert_eq!(shown(&last(dir.path(), 10, None, Writer::Alive).0), ["stdout third", "stderr whole"]);
}

#[test]
fn the_last_lines_are_found_from_the_end_and_reading_goes_on_behind_them() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(last(dir.path(), 5, None, Writer::Alive).0.is_empty());
    let mut next = 0;
    for number in 1..=3u64 {
        let texts: Vec<String> =
            (0..1000).map(|n| format!("{} {}\n", (number - 1) * 1000 + n, "x".repeat(300))).collect();
        let chunks: Vec<_> = texts.iter().map(|text| (OUT, &**text)).collect();
        next = segment(dir.path(), number, base(next), &chunks);
    }
    let numbers = |lines: &[LogLine]| -> Vec<usize> {
        lines.iter().map(|line| line.text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")).collect()
    };
    for wanted in [0, 1, 3, 999, 1000, 1001, 2999, 3000, 9000] {
        let (lines, cursor) = last(dir.path(), wanted, None, Writer::Alive);
        assert_eq!(numbers(&lines), (3000usize.saturating_sub(wanted)..3000).collect::<Vec<_>>(), "{wanted}");
        assert!(read(dir.path(), Some(&cursor), 10, Writer::Alive).0.is_empty());
    }
    let (lines, _) = last(dir.path(), 9000, Some(Timestamp(3995)), Writer::Alive);
    assert_eq!(numbers(&lines), (2995..3000).collect::<Vec<_>>());
}

#[test]
fn long_lines_are_split_and_nonsense_does_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let long = "x".repeat(lines::MAX_LINE);
    let text = format!("{long}\n{long}{long}y\n");
    segment(dir.path(), 1, base(0), &[(OUT, &text)]);
    let lengths: Vec<_> = read(dir.path(), None, 100, Writer::Alive).0.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [lines::MAX_LINE, lines::MAX_LINE, lines::MAX_LINE, 1]);
    std::fs::write(dir.path().join("log.1"), b"\xff\xfe\n").expect("writes");
    assert_eq!(shown(&read(dir.path(), None, 100, Writer::Alive).0), ["stdout \u{fffd}\u{fffd}"]);
    for index in [&b""[..], b"nothing of ours, but long enough to be read"] {
        std::fs::write(dir.path().join("log.1.idx"), index).expect("writes");
        assert!(read(dir.path(), None, 100, Writer::Alive).0.is_empty());
    }
}

#[test]
fn a_segment_that_says_it_lies_beyond_all_numbers_is_passed_over() {
    let dir = tempfile::tempdir().expect("a directory");
    segment(dir.path(), 1, base(0), &[(OUT, "one\n")]);
    let header = base(u64::MAX).encode();
    std::fs::write(dir.path().join("log.2.idx"), header).expect("writes");
    std::fs::write(dir.path().join("log.2"), "two\n").expect("writes");
    let (lines, _) = read(dir.path(), None, 100, Writer::Alive);
    assert_eq!(shown(&lines), ["stdout one"]);
    assert_eq!(shown(&last(dir.path(), 10, None, Writer::Ended).0), ["stdout one"]);
}
