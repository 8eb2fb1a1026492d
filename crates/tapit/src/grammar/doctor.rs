//! `doctor`: what this machine has and lacks.

use tapit_model::Code;

use super::{Example, Keys, Object, Row, Scope};
use crate::invocation::Action;

pub static ROWS: &[Row] = &[Row {
    verb: "doctor",
    object: Object::Nothing,
    scope: Scope::Server,
    summary: "Say what this machine has and lacks for running containers",
    about: "Looks at this machine and needs no server; where one runs here, its version is told. What is lacking is said \
            with what it costs and how to mend it. Ends with 0 when containers can run and with 1 when something they need is \
            missing. Some things can be seen by root alone.",
    words: &[],
    keys: Keys::Nothing,
    flags: &[],
    examples: &[Example {
        line: "tapit doctor",
        what: "as root, before the first server and after an upgrade of the kernel",
    }],
    exits: &[Code::Failed, Code::Usage],
    mean: |_| Ok(Action::Doctor),
}];
