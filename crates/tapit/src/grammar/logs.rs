//! `logs`: what instances write.

use tapit_model::{Code, Refusal, Since};

use super::completion::NameKind;
use super::events::ONE_PROCESS;
use super::task::{ONE_TASK, process_or_task};
use super::{Example, Flag, Form, Keys, Object, Row, Scope, Typed, Word};
use crate::invocation::{Action, Command, LogsWanted, Reading, ask};

static FOLLOW: Flag = Flag {
    long: "follow",
    short: Some('f'),
    value: None,
    choices: &[],
    help: "go on with lines as they are written",
    variable: None,
};

const DEFAULT_LINES: u32 = 100;

const fn word(key: &'static str, shown: &'static str, help: &'static str) -> Word {
    Word { key, synonyms: &[], form: Form::Keyed, shown, help, names: NameKind::Nothing }
}

pub static ROWS: &[Row] = &[Row {
    verb: "logs",
    object: Object::Nothing,
    scope: Scope::App,
    summary: "Show what instances write",
    about: "The last lines of all instances together, also of those that have stopped, in the order of their times. \
            On a terminal `|` marks standard output, `!` standard error and `*` a remark of tapit, and what could \
            drive the terminal is left out; otherwise, or with -o json, every line is one JSON object. With -f it goes \
            on, also with instances that start later, until Ctrl-C (exit status 130); a lost connection is made again \
            for 10 s.",
    words: &[
        ONE_PROCESS,
        ONE_TASK,
        word("instance", "[instance=ID]", "only those of one instance"),
        word("since", "[since=TIME]", "only those since then: 10m, 1h30m, 2d, or a time in RFC 3339"),
        word("lines", "[lines=N]", "at most so many of those there are (default 100; with -f, 0 means new ones only)"),
    ],
    keys: Keys::Nothing,
    flags: &[&FOLLOW],
    examples: &[
        Example { line: "tapit logs", what: "the last hundred lines of the app" },
        Example { line: "tapit logs name=api since=10m lines=1000", what: "what one process wrote lately" },
        Example { line: "tapit logs name=api -f lines=0", what: "new lines as they come" },
        Example { line: "tapit logs task=7 -f", what: "what a one-off task writes, until it has ended" },
        Example { line: "tapit logs instance=api.7", what: "one instance, also when it has stopped" },
    ],
    exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
    mean,
}];

fn mean(typed: &Typed) -> Result<Action, Refusal> {
    let since = typed.own("since");
    since.map(Since::parse).transpose().map_err(Refusal::usage)?;
    if typed.own("instance") == Some("") {
        return Err(Refusal::usage("instance= is empty; leave it out for all instances"));
    }
    ask(Command::Logs(LogsWanted {
        process: process_or_task(typed)?,
        instance: typed.own("instance").map(str::to_owned),
        lines: typed.number("lines", 0..=10_000)?.unwrap_or(DEFAULT_LINES),
        since: since.map(str::to_owned),
        reading: if typed.has(&FOLLOW) { Reading::Following } else { Reading::Snapshot },
    }))
}
