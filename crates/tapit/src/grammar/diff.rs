//! `diff app`: what would be different on another engine.

use tapit_model::{Code, EngineKind, Refusal};

use super::completion::NameKind;
use super::{APP, Example, Form, Keys, Object, Row, Scope, Typed, Word, app};
use crate::invocation::{Action, Command, ask};

pub static ROWS: &[Row] = &[Row {
    verb: "diff",
    object: Object::One(&APP),
    scope: Scope::App,
    summary: "Show what an app would find different on another engine",
    about: "A row for each process and thing that is not the same there: sizes that Fargate does not have, limits, how health is \
            told, names within the app. What is the same is not told, and neither are prices. Nothing is changed, and AWS is \
            not asked.",
    words: &[
        app::NAME,
        Word {
            key: "engine",
            synonyms: &[],
            form: Form::Keyed,
            shown: "engine=ENGINE",
            help: "the engine to compare with: embedded or ecs",
            names: NameKind::Engines,
        },
    ],
    keys: Keys::Nothing,
    flags: &[],
    examples: &[Example { line: "tapit diff app shop engine=ecs", what: "before it moves to AWS" }],
    exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Unavailable],
    mean,
}];

fn mean(typed: &Typed) -> Result<Action, Refusal> {
    const LEGAL: &str = "give engine=embedded or engine=ecs";
    let Some(text) = typed.own("engine") else {
        return Err(Refusal::usage(format!("diff app needs an engine to compare with; {LEGAL}")));
    };
    let engine = EngineKind::parse(text);
    let engine = engine.ok_or_else(|| Refusal::usage(format!("engine={text} is not legal; {LEGAL}")))?;
    ask(Command::DiffApp { engine })
}
