//! `top`: what instances use now.

use tapit_model::{Code, Refusal};

use super::completion::NameKind;
use super::{Example, Flag, Form, Keys, Object, Row, Scope, Typed, Word};
use crate::invocation::{Action, Command, Reading, ask};

static ONCE: Flag = Flag {
    long: "once",
    short: None,
    value: None,
    choices: &[],
    help: "measure for a second, print, and end; without a terminal always so",
    variable: None,
};

pub static ROWS: &[Row] = &[Row {
    verb: "top",
    object: Object::Nothing,
    scope: Scope::App,
    summary: "Watch what instances use",
    about: "On a terminal it is drawn anew every second until q or Ctrl-C. CPU is a share of one cpu; THROTTLED is how many of the \
            moments in which an instance wanted cpu its size held it back. MEMORY leaves out pages of files that were not used of \
            late; FIXED is what cannot be taken from it, and at its limit it is killed. OOMS counts kills for lack of \
            memory, the end of the instance before it included. With -o json, one array of one measurement.",
    words: &[Word {
        key: "name",
        synonyms: &[],
        form: Form::Bare,
        shown: "[name=PROCESS]",
        help: "only the instances of one process",
        names: NameKind::Processes,
    }],
    keys: Keys::Nothing,
    flags: &[&ONCE],
    examples: &[
        Example { line: "tapit top", what: "every instance of the app" },
        Example { line: "tapit top name=api --once", what: "one measurement of one process" },
    ],
    exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
    mean,
}];

fn mean(typed: &Typed) -> Result<Action, Refusal> {
    let reading = if typed.has(&ONCE) { Reading::Snapshot } else { Reading::Following };
    ask(Command::Top { process: typed.process()?, reading })
}
