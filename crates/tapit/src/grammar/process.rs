//! Commands about processes. Their keys come from `tapit_model::PROCESS_KEYS`.

use tapit_model::{Code, Refusal};

use super::completion::NameKind;
use super::{Example, Form, Keys, Object, PROCESS, Row, Scope, Typed, Word, flags};
use crate::invocation::{Action, Command, ask};

pub const NAME: Word = Word {
    key: "name",
    synonyms: &[],
    form: Form::Bare,
    shown: "name=NAME",
    help: "the process, as name=NAME or NAME",
    names: NameKind::Processes,
};

const CHANGE_EXITS: &[Code] = &[Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable];

pub static ROWS: &[Row] = &[
    Row {
        verb: "create",
        object: Object::One(&PROCESS),
        scope: Scope::App,
        summary: "Create a process and start its instances",
        about: "The process default is the public one: HTTP requests from outside go to it. It exists from the start; the \
                first create of it configures it.",
        words: &[Word {
            key: "name",
            synonyms: &[],
            form: Form::Bare,
            shown: "name=NAME",
            help: "lower-case letters, digits and hyphens, at most 63",
            names: NameKind::Nothing,
        }],
        keys: Keys::OnCreate,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit create process name=default", what: "basic web process" },
            Example {
                line: "tapit create process name=api memory=2.0 cpu=1.0 demand_count=3 spot_count=0",
                what: "API service with more resources",
            },
            Example {
                line: "tapit create process name=worker memory=1.0 cpu=0.5 demand_count=1 spot_count=2 command=\"python worker.py\"",
                what: "background worker",
            },
            Example {
                line: "tapit create process name=auth-service image=myapp/auth:latest memory=0.5 cpu=0.25 demand_count=2",
                what: "microservice with its own image",
            },
        ],
        exits: CHANGE_EXITS,
        mean: create,
    },
    Row {
        verb: "set",
        object: Object::One(&PROCESS),
        scope: Scope::App,
        summary: "Change a process",
        about: "Counts start only what is missing and stop only what is too many. A new size reaches running instances in \
                place. A new command, image, port or health path is a rolling rollout, which is rolled back when the new \
                instances do not get healthy. Several keys are one rollout. An empty value goes back to the default.",
        words: &[Word {
            key: "name",
            synonyms: &[],
            form: Form::Bare,
            shown: "[name=NAME]",
            help: "the process; may be left out when the app has one",
            names: NameKind::Processes,
        }],
        keys: Keys::OnSet,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit set process name=default desired_count=5", what: "scale up" },
            Example { line: "tapit set process name=worker spot_count=+2", what: "two spot instances more" },
            Example { line: "tapit set process name=worker memory=2.0", what: "more memory" },
            Example {
                line: "tapit set process name=scheduler command=\"python manage.py run_scheduler\"",
                what: "another command",
            },
            Example { line: "tapit set process name=worker disabled=true", what: "stop it and keep its configuration" },
            Example { line: "tapit set process name=api image=myapp/api:v2.1.0 --wait", what: "a new version" },
        ],
        exits: CHANGE_EXITS,
        mean: set,
    },
    Row {
        verb: "restart",
        object: Object::One(&PROCESS),
        scope: Scope::App,
        summary: "Replace every instance of a process, one after another",
        about: "A rolling rollout of the same configuration.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[Example { line: "tapit restart process name=default --wait", what: "and wait until it is steady" }],
        exits: CHANGE_EXITS,
        mean: |typed| ask(Command::RestartProcess { name: typed.process()? }),
    },
    Row {
        verb: "show",
        object: Object::One(&PROCESS),
        scope: Scope::App,
        summary: "Show everything known about a process",
        about: "Its settings, its last rollout, its instances, what it waits for, and its last events.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show process name=api", what: "as a page; -o json for programs" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |typed| ask(Command::ShowProcess { name: typed.process()? }),
    },
    Row {
        verb: "list",
        object: Object::Many(&PROCESS),
        scope: Scope::App,
        summary: "List the processes of an app",
        about: "DEMAND and SPOT are running instances of wanted ones.",
        words: &[],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit list processes -a shop", what: "those of the app shop" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |_| ask(Command::ListProcesses),
    },
    Row {
        verb: "delete",
        object: Object::One(&PROCESS),
        scope: Scope::App,
        summary: "Remove a process and all its instances",
        about: "Its routes go first, then requests in flight end, then instances stop. Asks on a terminal; without one it \
                needs --force.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::REMOVING,
        examples: &[
            Example { line: "tapit delete process name=old-worker", what: "asks on a terminal" },
            Example {
                line: "tapit delete process name=test-api --force --wait",
                what: "in a script, until it is gone",
            },
        ],
        exits: CHANGE_EXITS,
        mean: |typed| ask(Command::DeleteProcess { name: typed.process()? }),
    },
];

fn create(typed: &Typed) -> Result<Action, Refusal> {
    typed.patch()?;
    let name = typed
        .process()?
        .ok_or_else(|| Refusal::usage("the process's name is missing: `tapit create process name=NAME`"))?;
    ask(Command::CreateProcess { name, words: typed.keys.clone() })
}

fn set(typed: &Typed) -> Result<Action, Refusal> {
    let patch = typed.patch()?;
    if typed.keys.is_empty() {
        let keys: Vec<_> = Keys::OnSet.infos().map(|info| info.name).collect();
        let text = format!("set process needs something to change; legal keys are {}", keys.join(", "));
        return Err(Refusal::usage(text));
    }
    if patch.resize.is_some() && patch.memory.is_none() && patch.cpu.is_none() {
        let text = "resize says how a new size reaches running instances; give memory or cpu with it";
        return Err(Refusal::usage(text));
    }
    ask(Command::SetProcess { name: typed.process()?, words: typed.keys.clone() })
}
