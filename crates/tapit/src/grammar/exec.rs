//! `exec`: a command in a running instance.

use tapit_model::{Code, CommandLine, Refusal};

use super::completion::NameKind;
use super::task::{ONE_TASK, process_or_task};
use super::{Example, Form, Keys, Object, Row, Scope, Typed, Word};
use crate::invocation::{Action, Command, ExecWanted, ask};

/// It travels in the head of a request, escaped.
const LONGEST: usize = 16 * 1024;

pub static ROWS: &[Row] = &[Row {
    verb: "exec",
    object: Object::Nothing,
    scope: Scope::App,
    summary: "Run a command in a running instance",
    about: "It runs beside the instance's program: as its user, with its variables and files, within its limits. The \
            command is one word, quoted; it is split like a shell splits words, and with shell operators in it it runs \
            by /bin/sh in the instance. At a terminal it gets one of its own; otherwise input, output and errors are \
            three pipes. The exit status is the command's: 128 and more for a signal, 127 for no such program, 126 for \
            one that cannot be run. It ends with the instance, and when this program or its connection does.",
    words: &[
        Word {
            key: "name",
            synonyms: &[],
            form: Form::Keyed,
            shown: "[name=PROCESS]",
            help: "the process; may be left out when the app has one",
            names: NameKind::Processes,
        },
        ONE_TASK,
        Word {
            key: "instance",
            synonyms: &[],
            form: Form::Keyed,
            shown: "[instance=ID]",
            help: "the instance (default: the newest healthy one)",
            names: NameKind::Nothing,
        },
        Word {
            key: "command",
            synonyms: &[],
            form: Form::Text,
            shown: "'CMD'",
            help: "what to run",
            names: NameKind::Nothing,
        },
    ],
    keys: Keys::Nothing,
    flags: &[],
    examples: &[
        Example { line: "tapit exec name=api sh", what: "a shell in the newest healthy instance" },
        Example { line: "tapit exec name=api instance=api.7 'ps aux'", what: "one command in one instance" },
        Example {
            line: "tapit exec name=db 'pg_dump shop | gzip'",
            what: "its output can be piped on or kept in a file",
        },
    ],
    exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
    mean,
}];

fn mean(typed: &Typed) -> Result<Action, Refusal> {
    let command = typed.own("command").unwrap_or_default();
    if command.is_empty() {
        return Err(Refusal::usage("exec needs a command: `tapit exec name=PROCESS 'CMD'`, such as 'ls -l /'"));
    }
    CommandLine::parse(command).map_err(Refusal::usage)?;
    if command.len() > LONGEST {
        let text = format!("the command has {} bytes; exec takes {LONGEST} at most", command.len());
        return Err(Refusal::usage(text));
    }
    if typed.own("instance") == Some("") {
        return Err(Refusal::usage("instance= is empty; leave it out for the newest healthy one"));
    }
    ask(Command::Exec(ExecWanted {
        process: process_or_task(typed)?,
        instance: typed.own("instance").map(str::to_owned),
        command: command.to_owned(),
    }))
}
