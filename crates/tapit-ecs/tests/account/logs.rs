//! What containers write, read piece by piece.

use tapit_ecs::api::*;
use tapit_ecs::sim::Behaviour;

use super::stage::{LOGS, Stage};

fn stage() -> (Stage, String, String) {
    let stage = Stage::open();
    stage.account.behave(|_| Behaviour::serves().writes(&["one", "two", "three"]));
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.until("it runs", || stage.service("web").running == 1);
    let task = stage.alive().remove(0).arn;
    let stream = format!("web/app/{}", task.rsplit('/').next().expect("a last part"));
    (stage, task, stream)
}

fn read(stage: &Stage, stream: &str, after: LogFrom, limit: u16) -> Result<(Vec<String>, String), ApiFault> {
    let of = LogEventsOf { group: LOGS.to_owned(), stream: stream.to_owned(), after, since: None, limit };
    match stage.ask(Request::GetLogEvents(of)) {
        Ok(Answer::LogEvents { events, next }) => Ok((events.into_iter().map(|one| one.message).collect(), next)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.fault),
    }
}

#[test]
fn a_stream_is_read_from_either_end_and_on_from_there() {
    let (stage, task, stream) = stage();
    let (lines, next) = read(&stage, &stream, LogFrom::Start, 2).expect("is there");
    assert_eq!(lines, ["one", "two"]);
    let (lines, next) = read(&stage, &stream, LogFrom::Token(next), 2).expect("is there");
    assert_eq!(lines, ["three"]);
    let (lines, same) = read(&stage, &stream, LogFrom::Token(next.clone()), 2).expect("is there");
    assert_eq!((lines.len(), &same), (0, &next));
    let (lines, end) = read(&stage, &stream, LogFrom::End, 2).expect("is there");
    assert_eq!((lines, &end), (vec!["two".to_owned(), "three".to_owned()], &next));
    assert!(stage.account.write(&task, &["four"]));
    assert_eq!(read(&stage, &stream, LogFrom::Token(end), 9).expect("is there").0, ["four"]);
}

#[test]
fn a_stream_is_read_from_a_time_on() {
    let (stage, task, stream) = stage();
    stage.seconds(10);
    let since = Some(stage.account.now());
    assert!(stage.account.write(&task, &["late"]));
    for after in [LogFrom::Start, LogFrom::End] {
        let of = LogEventsOf { group: LOGS.to_owned(), stream: stream.clone(), after, since, limit: 9 };
        let Ok(Answer::LogEvents { events, .. }) = stage.ask(Request::GetLogEvents(of)) else { panic!("not there") };
        assert_eq!(events.into_iter().map(|one| one.message).collect::<Vec<_>>(), ["late"]);
    }
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused() {
    let (stage, _, stream) = stage();
    assert_eq!(read(&stage, "nobody", LogFrom::Start, 1), Err(ApiFault::NotFound));
    assert_eq!(read(&stage, &stream, LogFrom::Token("nonsense".to_owned()), 1), Err(ApiFault::Invalid));
    assert_eq!(read(&stage, &stream, LogFrom::Start, 0), Err(ApiFault::Invalid));
    assert_eq!(read(&stage, &stream, LogFrom::Start, 10_001), Err(ApiFault::Invalid));
    let retention = |days| Request::SetLogRetention { name: LOGS.to_owned(), days };
    assert_eq!(stage.ask(retention(30)), Ok(Answer::Done));
    assert_eq!(stage.fault(retention(31)), ApiFault::Invalid);
    stage.ask(Request::DeleteLogGroup { name: LOGS.to_owned() }).expect("is deleted");
    assert_eq!(stage.fault(retention(30)), ApiFault::NotFound);
    assert_eq!(read(&stage, &stream, LogFrom::Start, 1), Err(ApiFault::NotFound));
}
