//! What others write down or send and this host reads back: the frames of a command's session, and a log's index.

use tapit_model::{EXEC_MAX_PAYLOAD, ExecFrame};

use crate::instance::log::{LogCursor, Writer, last, read};

/// A stream of frames: what is understood is written as it was read, but for the text of an error.
pub fn frames(mut bytes: &[u8]) {
    while let Some((header, rest)) = bytes.split_first_chunk::<{ ExecFrame::HEADER }>() {
        let Ok((kind, length)) = ExecFrame::header(*header) else { return };
        assert!(length <= EXEC_MAX_PAYLOAD);
        let Some((payload, rest)) = rest.split_at_checked(length) else { return };
        let Ok(frame) = ExecFrame::decode(kind, payload.to_vec()) else { return };
        let again = frame.encode();
        if !matches!(frame, ExecFrame::Error(_)) {
            assert_eq!(again, [header.as_slice(), payload].concat(), "{frame:?} is written another way");
        }
        bytes = rest;
    }
}

/// A log of two segments: the first byte says how much of the rest is their indexes.
pub fn log_index(bytes: &[u8]) {
    let Some((share, rest)) = bytes.split_first() else { return };
    let (index, data) = rest.split_at(rest.len() * usize::from(*share) / 255);
    let (first, second) = index.split_at(index.len() / 2);
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no place for a log: {error}"));
    let (one, two) = data.split_at(data.len() / 2);
    for (name, bytes) in [("log.1", one), ("log.2", two), ("log.1.idx", first), ("log.2.idx", second)] {
        let written = std::fs::write(directory.path().join(name), bytes);
        written.unwrap_or_else(|error| panic!("no place for a log: {error}"));
    }
    let (mut cursor, mut pages) = (None::<LogCursor>, 0);
    loop {
        let (lines, next) = read(directory.path(), cursor.as_ref(), 2, Writer::Alive);
        let word = next.to_string();
        assert_eq!(word.parse::<LogCursor>().map(|read| read.to_string()), Ok(word.clone()), "a cursor is lost");
        if lines.is_empty() {
            break;
        }
        assert!(lines.len() <= 2 && cursor.as_ref() != Some(&next), "a page leads nowhere: {word}");
        cursor = Some(next);
        pages += 1;
        assert!(pages <= data.len() + 2, "more lines than bytes");
    }
    for wanted in [0, 1, 100] {
        let (lines, _) = last(directory.path(), wanted, None, Writer::Ended);
        assert!(lines.len() <= wanted, "{} of the last {wanted} lines", lines.len());
    }
}
