//! Logs, read piece by piece.

use tapit_model::{InstanceId, InstanceKey, LogLine, LogStream};

use super::stage::{Stage, key};
use super::{LOG_LINES, Subject};
use crate::{LogPart, LogPosition, LogReading};

pub async fn a_log_is_read_on_from_where_the_last_reading_ended(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let seen = stage.run(&api, stage.counts(1, 0)).await;
    let instance = seen.instance_key(0);
    let read = async |part: LogPart| -> LogReading { subject.engine().logs(&instance, &part).await.expect("a log") };
    // In pieces, from the oldest line on; what it has written may be on its way for a moment.
    let mut lines: Vec<LogLine> = Vec::new();
    let mut after: Option<LogPosition> = None;
    for _ in 0..subject.patience() {
        let LogReading { lines: more, next } = read(LogPart::Next { after, limit: 2 }).await;
        if more.is_empty() {
            subject.pass().await;
        }
        lines.extend(more);
        after = Some(next);
        if lines.len() >= LOG_LINES.len() {
            break;
        }
    }
    assert_eq!(texts(&lines), LOG_LINES);
    assert!(lines.iter().all(|line| line.stream == LogStream::Stdout), "{lines:?}");
    assert!(lines.is_sorted_by_key(|line| line.at), "{lines:?}");

    // The end of it, and that nothing follows.
    let LogReading { lines: end, next } = read(LogPart::Last { lines: 2, since: None }).await;
    assert_eq!(end, lines[3..]);
    assert!(read(LogPart::Next { after: Some(next.clone()), limit: 9 }).await.lines.is_empty());
    assert_eq!(read(LogPart::Last { lines: 0, since: None }).await, LogReading { lines: Vec::new(), next });
    let since = |at| LogPart::Last { lines: 9, since: Some(at) };
    assert_eq!(read(since(lines[0].at)).await.lines, lines);
    assert!(read(since(tapit_model::Timestamp(i64::MAX))).await.lines.is_empty());

    let engine = subject.engine();
    let nonsense = LogPart::Next { after: Some(LogPosition("nonsense".to_owned())), limit: 1 };
    assert!(engine.logs(&instance, &nonsense).await.is_err());
    let nobody = InstanceKey { app: api.app, id: InstanceId::opaque("nobody") };
    assert!(engine.logs(&nobody, &LogPart::Next { after: None, limit: 1 }).await.is_err());
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}
