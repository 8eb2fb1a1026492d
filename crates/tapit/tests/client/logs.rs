//! `logs`: what is asked for, what is printed, and what comes after a lost connection.

use tapit_cli::grammar::parse;
use tapit_cli::invocation::{Action, Command, LogsWanted, Reading};

use crate::server::{CUT, Server, refusal};
use crate::support::{User, argv};

const ALL: &str = "GET /v1/apps/shop/logs?lines=100";
const FOLLOW: &str = "GET /v1/apps/shop/logs?lines=100&follow=true";

fn line(instance: &str, text: &str) -> String {
    let (process, _) = instance.split_once('.').expect("a serial");
    format!(
        r#"{{"at":"2026-01-31T12:00:00.123Z","process":"{process}","instance":"{instance}","stream":"stdout","text":"{text}"}}"#
    ) + "\n"
}

fn resume(place: &str) -> String {
    format!("{{\"resume\":\"{place}\"}}\n")
}

fn wanted(line: &str) -> LogsWanted {
    match parse(&argv(line)).unwrap_or_else(|refusal| panic!("{line}: {}", refusal.message)).action {
        Action::Ask(Command::Logs(wanted)) => wanted,
        other @ (Action::Help(_)
        | Action::Version
        | Action::Completion(_)
        | Action::Complete { .. }
        | Action::Server(_)
        | Action::Doctor(_)
        | Action::Teardown { .. }
        | Action::Ask(_)) => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_line_says_which_logs_are_meant() {
    let all = wanted("tapit logs");
    assert_eq!((all.process, all.instance, all.lines, all.since), (None, None, 100, None));
    assert_eq!(all.reading, Reading::Snapshot);
    let some = wanted("tapit logs web instance=web.3 since=1h30m lines=0 -f");
    assert_eq!(some.process.map(|name| name.to_string()).as_deref(), Some("web"));
    assert_eq!((some.instance.as_deref(), some.since.as_deref(), some.lines), (Some("web.3"), Some("1h30m"), 0));
    assert_eq!(some.reading, Reading::Following);
    assert_eq!(wanted("tapit logs --follow name=web"), wanted("tapit -f logs web"));
}

#[test]
fn what_cannot_be_meant_is_told_before_anything_is_asked() {
    for (line, part) in [
        ("tapit logs since=yesterday", "1h30m"),
        ("tapit logs lines=10001", "0 to 10000"),
        ("tapit logs instance=", "instance"),
        ("tapit logs nmae=web", "name"),
    ] {
        let run = User::script().run(line);
        assert!(run.status() == 2 && run.err.contains(part), "{line}: {}", run.err);
    }
}

#[test]
fn on_a_terminal_lines_are_plain_text_that_drives_nothing() {
    let text = line("web.3", "one") + &line("api.10", "\\u001b[2Jtwo\\r");
    let server = Server::answering(&[(ALL, 200, &text)]);
    let run = server.user().at_terminal().run("tapit logs -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert_eq!(run.out, "2026-01-31T12:00:00.123Z web.3 | one\n2026-01-31T12:00:00.123Z api.10 | two\n");
}

#[test]
fn without_a_terminal_every_line_is_an_object_as_it_came() {
    let text = line("web.3", "one\\u001b[0m") + "\n" + &line("web.3", "two");
    let server = Server::answering(&[(ALL, 200, &text)]);
    let run = server.user().run("tapit logs -a shop");
    assert_eq!(run.out, line("web.3", "one\\u001b[0m") + &line("web.3", "two"), "{}", run.err);
    let server = Server::answering(&[(ALL, 200, &text)]);
    assert!(server.user().run("tapit logs -a shop -o table").out.ends_with("web.3 | two\n"));
}

#[test]
fn what_is_asked_for_is_sent_along() {
    let line = "GET /v1/apps/shop/logs?process=web&instance=web.3&since=2026-01-31T12%3A00%3A00Z&lines=7";
    let server = Server::answering(&[(line, 404, &refusal("not_found", "no process web; there are: api"))]);
    let run = server.user().run("tapit logs web instance=web.3 since=2026-01-31T12:00:00Z lines=7 -a shop");
    assert_eq!(run.status(), 3);
    assert!(run.err.contains("there are: api"), "{}", run.err);
}

#[test]
fn after_a_lost_connection_no_line_is_missing_and_none_comes_twice() {
    let first = line("web.1", "one") + &resume("a") + &line("web.1", "two") + CUT;
    let second = line("web.1", "two") + &line("web.1", "three") + &resume("b") + "\n" + CUT;
    let third = line("web.2", "four");
    let (after_a, after_b) = (format!("{FOLLOW}&resume=a"), format!("{FOLLOW}&resume=b"));
    let unavailable = refusal("unavailable", "the server is starting");
    let server = Server::answering(&[
        (FOLLOW, 200, &first),
        (&after_a, 0, ""),
        (&after_a, 503, &unavailable),
        (&after_a, 200, &second),
        (&after_b, 200, &third),
    ]);
    let run = server.user().run("tapit logs -a shop -f");
    assert_eq!(run.status(), 0, "it has ended: {}", run.err);
    let expected = ["one", "two", "three"].map(|text| line("web.1", text)).concat() + &third;
    assert_eq!(run.out, expected);
}

#[test]
fn what_is_gone_when_the_server_is_back_ends_the_following() {
    let begun = line("web.1", "one") + &resume("a") + CUT;
    let after = format!("{FOLLOW}&resume=a");
    let server = Server::answering(&[(FOLLOW, 200, &begun), (&after, 404, &refusal("not_found", "no app shop"))]);
    let run = server.user().run("tapit logs -a shop -f");
    assert_eq!((run.status(), run.out), (3, line("web.1", "one")));
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let began = std::time::Instant::now();
    assert_eq!(User::script().run("tapit logs -a shop -f").status(), 6);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
