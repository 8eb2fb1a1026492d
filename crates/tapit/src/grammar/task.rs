//! One-off tasks: commands that run once, to their end.

use tapit_model::{Code, CommandLine, Refusal, TaskId, Words};

use super::completion::NameKind;
use super::{Example, Flag, Form, Keys, Object, Row, Scope, TASK, Typed, Word, flags};
use crate::invocation::{Action, Command, ask};

const ID: Word = Word {
    key: "id",
    synonyms: &[],
    form: Form::Bare,
    shown: "id=ID",
    help: "the number of the task, as id=ID or ID",
    names: NameKind::Nothing,
};

/// A task where a process may be named as well.
pub const ONE_TASK: Word = Word {
    key: "task",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[task=ID]",
    help: "a one-off task, instead of a process",
    names: NameKind::Nothing,
};

static WAIT: Flag = Flag::switch("wait", Some('w'), "print what it writes, and end as it does, with its exit status");

const CHANGE_EXITS: &[Code] = &[Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable];
const READ_EXITS: &[Code] = &[Code::Usage, Code::NotFound, Code::Unavailable];

pub static ROWS: &[Row] = &[
    Row {
        verb: "create",
        object: Object::One(&TASK),
        scope: Scope::App,
        summary: "Run a command once, in a container of its own",
        about: "It has the app's image, or another one, and listens nowhere. It runs once: whatever ends it, also the end \
                of the machine, it is not started again. Without room for it, it waits, and says so. The command is one \
                word, quoted; it is split like a shell splits words, and with shell operators in it it runs by /bin/sh in \
                the container. With --wait, what it writes is printed as it comes, and the exit status is the command's: \
                128 and more for a signal, 1 where it never ran or was stopped. Ctrl-C ends the waiting, not the task.",
        words: &[Word {
            key: "command",
            synonyms: &[],
            form: Form::Text,
            shown: "'CMD'",
            help: "what to run",
            names: NameKind::Nothing,
        }],
        keys: Keys::OnTask,
        flags: &[&WAIT, &flags::DRY_RUN],
        examples: &[
            Example { line: "tapit create task 'python manage.py migrate' --wait", what: "a migration, in a script" },
            Example {
                line: "tapit create task memory=2.0 cpu=1.0 'python report.py'",
                what: "a large one that runs by itself",
            },
        ],
        exits: CHANGE_EXITS,
        mean: create,
    },
    Row {
        verb: "list",
        object: Object::Many(&TASK),
        scope: Scope::App,
        summary: "List the one-off tasks of an app",
        about: "All that have not ended, and the last 20 that have; the newest first.",
        words: &[],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit list tasks", what: "what runs, and how the others ended" }],
        exits: READ_EXITS,
        mean: |_| ask(Command::ListTasks),
    },
    Row {
        verb: "show",
        object: Object::One(&TASK),
        scope: Scope::App,
        summary: "Show everything known about a one-off task",
        about: "What it writes, `tapit logs task=ID` shows.",
        words: &[ID],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show task id=7", what: "as a page; -o json for programs" }],
        exits: READ_EXITS,
        mean: |typed| ask(Command::ShowTask { id: id(typed)? }),
    },
    Row {
        verb: "stop",
        object: Object::One(&TASK),
        scope: Scope::App,
        summary: "End a one-off task before its time",
        about: "It gets SIGTERM, and SIGKILL when it has not ended after its stop_timeout.",
        words: &[ID],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[Example { line: "tapit stop task id=7 --wait", what: "and wait until it has ended" }],
        exits: CHANGE_EXITS,
        mean: |typed| ask(Command::StopTask { id: id(typed)? }),
    },
];

fn create(typed: &Typed) -> Result<Action, Refusal> {
    typed.patch()?;
    let command = typed.own("command").unwrap_or_default();
    if command.is_empty() {
        let text = "create task needs a command: `tapit create task 'CMD'`, such as 'python manage.py migrate'";
        return Err(Refusal::usage(text));
    }
    CommandLine::parse(command).map_err(Refusal::usage)?;
    let mut words: Words = typed.keys.clone();
    words.insert("command".to_owned(), command.to_owned());
    ask(Command::CreateTask { words })
}

fn id(typed: &Typed) -> Result<TaskId, Refusal> {
    let title = typed.row.title();
    let text = typed.own("id").ok_or_else(|| {
        Refusal::usage(format!("{title} needs a number: `tapit {title} id=ID`; `tapit list tasks` shows them"))
    })?;
    number("id", text)
}

fn number(key: &str, text: &str) -> Result<TaskId, Refusal> {
    let wrong =
        || Refusal::usage(format!("{key}={text} is not legal; give the number of a task, as list tasks shows it"));
    TaskId::parse(text).ok_or_else(wrong)
}

/// The process that `name=` names, or the one as which a task runs.
pub fn process_or_task(typed: &Typed) -> Result<Option<tapit_model::ProcessName>, Refusal> {
    match (typed.process()?, typed.own("task")) {
        (Some(name), Some(task)) => {
            Err(Refusal::usage(format!("name={name} and task={task} name two things; give one of them")))
        }
        (name, None) => Ok(name),
        (None, Some(task)) => Ok(Some(number("task", task)?.process())),
    }
}
