//! `interrupt process`: a spot notice by hand.

use tapit_model::Code;

use super::completion::NameKind;
use super::{Example, Form, Keys, Object, PROCESS, Row, Scope, Word, flags, process};
use crate::invocation::{Command, ask};

pub static ROWS: &[Row] = &[Row {
    verb: "interrupt",
    object: Object::One(&PROCESS),
    scope: Scope::App,
    summary: "Reclaim spot instances of a process by hand",
    about: "The newest spot instances get the notice that they would get if their capacity were needed, so that an app's \
            handling of it can be tried. They come back while there is room.",
    words: &[
        process::NAME,
        Word {
            key: "count",
            synonyms: &[],
            form: Form::Keyed,
            shown: "[count=N]",
            help: "how many (default 1)",
            names: NameKind::Nothing,
        },
    ],
    keys: Keys::Nothing,
    flags: flags::CHANGING,
    examples: &[Example { line: "tapit interrupt process name=worker count=2", what: "the two newest spot instances" }],
    exits: &[Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
    mean: |typed| {
        let count = typed.number("count", 1..=1000)?.unwrap_or(1);
        ask(Command::InterruptProcess { name: typed.process()?, count })
    },
}];
