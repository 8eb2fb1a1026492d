//! `events`: the log of what happened.

use tapit_model::{Code, Refusal};

use super::completion::NameKind;
use super::{Example, Flag, Form, Keys, Object, Row, Scope, Typed, Word};
use crate::invocation::{Action, Command, Reading, ask};

static FOLLOW: Flag = Flag {
    long: "follow",
    short: Some('f'),
    value: None,
    choices: &[],
    help: "go on with events as they come",
    variable: None,
};

const DEFAULT_LINES: u32 = 50;

/// What narrows a list of what instances did or wrote.
pub const ONE_PROCESS: Word = Word {
    key: "name",
    synonyms: &[],
    form: Form::Bare,
    shown: "[name=PROCESS]",
    help: "only those of one process",
    names: NameKind::Processes,
};

pub static ROWS: &[Row] = &[Row {
    verb: "events",
    object: Object::Nothing,
    scope: Scope::App,
    summary: "Show what happened",
    about: "Newest last. Without an app, those of all apps. With -f and -o json, one object per line.",
    words: &[
        ONE_PROCESS,
        Word {
            key: "lines",
            synonyms: &[],
            form: Form::Keyed,
            shown: "[lines=N]",
            help: "at most so many (default 50)",
            names: NameKind::Nothing,
        },
    ],
    keys: Keys::Nothing,
    flags: &[&FOLLOW],
    examples: &[
        Example { line: "tapit events name=api lines=20", what: "the last twenty of one process" },
        Example { line: "tapit events -f", what: "as they come" },
    ],
    exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
    mean,
}];

fn mean(typed: &Typed) -> Result<Action, Refusal> {
    let lines = typed.number("lines", 1..=1000)?.unwrap_or(DEFAULT_LINES);
    let reading = if typed.has(&FOLLOW) { Reading::Following } else { Reading::Snapshot };
    ask(Command::Events { process: typed.process()?, lines, reading })
}
