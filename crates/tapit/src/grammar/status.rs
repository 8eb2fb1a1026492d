//! `status`: the server itself.

use tapit_model::Code;

use super::{Example, Keys, Object, Row, Scope};
use crate::invocation::{Command, ask};

pub static ROWS: &[Row] = &[Row {
    verb: "status",
    object: Object::Nothing,
    scope: Scope::Server,
    summary: "Show the server: version, engine, capacity",
    about: "",
    words: &[],
    keys: Keys::Nothing,
    flags: &[],
    examples: &[Example { line: "tapit status", what: "is it there, and what does it hold" }],
    exits: &[Code::Usage, Code::Unavailable],
    mean: |_| ask(Command::Status),
}];
