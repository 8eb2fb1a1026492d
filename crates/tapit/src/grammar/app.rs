//! Commands about apps.

use tapit_model::{AppName, Code, ImageRef, Refusal};

use super::completion::NameKind;
use super::{APP, Example, Form, Keys, Object, Row, Scope, Typed, Word, flags};
use crate::invocation::{Action, Command, ask};

pub(super) const NAME: Word = Word {
    key: "name",
    synonyms: &[],
    form: Form::Bare,
    shown: "[NAME]",
    help: "the app, as NAME or name=NAME; without it the selected app",
    names: NameKind::Apps,
};

pub static ROWS: &[Row] = &[
    Row {
        verb: "create",
        object: Object::One(&APP),
        scope: Scope::App,
        summary: "Create an app with its first process, default",
        about: "The keys configure the process default, which HTTP requests from outside go to; image is the app's image, \
                which every process without an image of its own runs. Without keys, the first \
                `tapit create process name=default` configures it.",
        words: &[Word {
            key: "name",
            synonyms: &[],
            form: Form::Bare,
            shown: "NAME",
            help: "lower-case letters, digits and hyphens, at most 63",
            names: NameKind::Nothing,
        }],
        keys: Keys::OnCreate,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit create app shop", what: "an app, to be configured later" },
            Example {
                line: "tapit create app shop image=myapp/web:v1 memory=1 demand=2 --wait",
                what: "an app that serves",
            },
        ],
        exits: &[Code::Failed, Code::Usage, Code::Conflict, Code::Unavailable],
        mean: create,
    },
    Row {
        verb: "list",
        object: Object::Many(&APP),
        scope: Scope::Server,
        summary: "List the apps",
        about: "",
        words: &[],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit list apps -o json", what: "as an array of objects" }],
        exits: &[Code::Usage, Code::Unavailable],
        mean: |_| ask(Command::ListApps),
    },
    Row {
        verb: "show",
        object: Object::One(&APP),
        scope: Scope::App,
        summary: "Show an app",
        about: "",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show app shop", what: "its status, image, address and processes" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |_| ask(Command::ShowApp),
    },
    Row {
        verb: "set",
        object: Object::One(&APP),
        scope: Scope::App,
        summary: "Change the image of an app",
        about: "Every process that runs the app's image gets a rolling rollout of its own.",
        words: &[
            NAME,
            Word {
                key: "image",
                synonyms: &[],
                form: Form::Keyed,
                shown: "image=NAME:TAG",
                help: "image of every process without one of its own; empty means none",
                names: NameKind::Images,
            },
        ],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[Example {
            line: "tapit set app shop image=myapp/web:v2 --wait",
            what: "a new version, healthy or rolled back",
        }],
        exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
        mean: set,
    },
    Row {
        verb: "delete",
        object: Object::One(&APP),
        scope: Scope::App,
        summary: "Remove an app with all its processes and instances",
        about: "Asks on a terminal; without one it needs --force.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::REMOVING,
        examples: &[Example {
            line: "tapit delete app shop --force --wait",
            what: "without a question, and until it is gone",
        }],
        exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
        mean: |_| ask(Command::DeleteApp),
    },
];

/// The app that a command about apps is about: its name and `-a` are two ways to say the same.
pub fn target(selected: Option<AppName>, name: Option<&str>) -> Result<Option<AppName>, Refusal> {
    let name = name.map(|name| AppName::parse(name).map_err(|e| Refusal::usage(e.to_string()))).transpose()?;
    match (selected, name) {
        (Some(selected), Some(name)) if selected != name => {
            let text = format!("the name {name} and the selected app {selected} differ; give one of them");
            Err(Refusal::usage(text))
        }
        (selected, name) => Ok(name.or(selected)),
    }
}

fn create(typed: &Typed) -> Result<Action, Refusal> {
    typed.patch()?;
    let name = target(typed.common()?.app, typed.own("name"))?
        .ok_or_else(|| Refusal::usage("the app's name is missing: `tapit create app NAME`"))?;
    ask(Command::CreateApp { name, words: typed.keys.clone() })
}

fn set(typed: &Typed) -> Result<Action, Refusal> {
    let Some(image) = typed.own("image") else {
        return Err(Refusal::usage("set app needs something to change; the legal key is image"));
    };
    if !image.is_empty() {
        ImageRef::parse(image).map_err(|e| Refusal::usage(e.to_string()))?;
    }
    ask(Command::SetApp { words: [("image".to_owned(), image.to_owned())].into() })
}
