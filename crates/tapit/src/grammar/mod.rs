//! The one table of commands: a row per command, a file per noun.
//!
//! From the rows alone come the parser, every help text, the completion scripts and the man page; adding a command is
//! adding a row. Nothing here talks to a server or prints.

mod app;
mod build;
pub mod completion;
mod diff;
mod doctor;
mod events;
mod exec;
pub mod flags;
pub mod help;
mod image;
mod interrupt;
mod lex;
mod logs;
mod man;
mod meta;
mod parse;
mod process;
mod registry;
mod resolve;
pub mod server;
mod status;
mod task;
mod top;
mod typed;

use tapit_model::{Code, KeyInfo, PROCESS_KEYS, Refusal};

pub use flags::Flag;
pub use parse::parse;
pub use typed::Typed;

use crate::invocation::Action;
use completion::NameKind;

/// A noun in both numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Noun {
    pub one: &'static str,
    pub many: &'static str,
}

impl Noun {
    /// True for the noun in either number.
    pub fn is(&self, word: &str) -> bool {
        self.one == word || self.many == word
    }
}

pub static APP: Noun = Noun { one: "app", many: "apps" };
pub static PROCESS: Noun = Noun { one: "process", many: "processes" };
pub static TASK: Noun = Noun { one: "task", many: "tasks" };
pub static IMAGE: Noun = Noun { one: "image", many: "images" };
pub static REGISTRY: Noun = Noun { one: "registry", many: "registries" };

/// What a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The verb stands alone.
    Nothing,
    One(&'static Noun),
    Many(&'static Noun),
}

/// Whether a command is about one app, and hence knows the word `app=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    App,
    Server,
}

/// Which keys of a process a command takes besides its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    Nothing,
    OnCreate,
    OnSet,
    OnTask,
}

impl Keys {
    pub fn infos(self) -> impl Iterator<Item = &'static KeyInfo> {
        PROCESS_KEYS.iter().filter(move |info| match self {
            Keys::Nothing => false,
            Keys::OnCreate => info.on_create,
            Keys::OnSet => true,
            Keys::OnTask => info.on_task,
        })
    }
}

/// How a word may be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `key=value` only.
    Keyed,
    /// `key=value` only, as often as there are values.
    Each,
    /// `key=value`, or the value alone.
    Bare,
    /// The value alone, whatever it holds, or `key=value`.
    Text,
    /// Every remaining bare word; no `key=` at all.
    Rest,
}

/// A word of a command.
#[derive(Debug)]
pub struct Word {
    pub key: &'static str,
    pub synonyms: &'static [&'static str],
    pub form: Form,
    /// As the usage line shows it; brackets mean that it may be left out.
    pub shown: &'static str,
    pub help: &'static str,
    /// What a completion script offers as its value.
    pub names: NameKind,
}

/// A line that works as it is written, and what it is good for.
#[derive(Debug)]
pub struct Example {
    pub line: &'static str,
    pub what: &'static str,
}

/// One command.
#[derive(Debug)]
pub struct Row {
    pub verb: &'static str,
    pub object: Object,
    pub scope: Scope,
    /// One line, for the overview.
    pub summary: &'static str,
    /// What else is worth knowing; may be empty.
    pub about: &'static str,
    pub words: &'static [Word],
    pub keys: Keys,
    /// Besides those that every command takes.
    pub flags: &'static [&'static Flag],
    pub examples: &'static [Example],
    pub exits: &'static [Code],
    pub mean: fn(&Typed) -> Result<Action, Refusal>,
}

const WHERE_APP: Word = Word {
    key: "app",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[app=APP]",
    help: "the app; the same as -a APP",
    names: NameKind::Apps,
};

impl Row {
    /// The noun as it is typed, if the verb takes one.
    pub fn noun(&self) -> Option<&'static str> {
        match self.object {
            Object::Nothing => None,
            Object::One(noun) => Some(noun.one),
            Object::Many(noun) => Some(noun.many),
        }
    }

    /// What the verb is about, if it is about anything.
    pub fn about_noun(&self) -> Option<&'static Noun> {
        match self.object {
            Object::Nothing => None,
            Object::One(noun) | Object::Many(noun) => Some(noun),
        }
    }

    /// True for the noun in either number.
    pub fn is_about(&self, word: &str) -> bool {
        self.about_noun().is_some_and(|noun| noun.is(word))
    }

    /// `create process`, or the verb alone.
    pub fn title(&self) -> String {
        match self.noun() {
            Some(noun) => format!("{} {noun}", self.verb),
            None => self.verb.to_owned(),
        }
    }

    /// Its own words and, where it is about an app, `app=`.
    pub fn all_words(&self) -> impl Iterator<Item = &'static Word> {
        let app = match self.scope {
            Scope::App => Some(&WHERE_APP),
            Scope::Server => None,
        };
        self.words.iter().chain(app)
    }

    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().copied().chain(flags::EVERYWHERE.iter().copied())
    }

    /// Every key that may be typed, in the spelling that output uses.
    pub fn key_names(&self) -> Vec<&'static str> {
        let own = self.all_words().filter(|word| word.form != Form::Rest).map(|word| word.key);
        own.chain(self.keys.infos().map(|info| info.name)).collect()
    }
}

/// All rows, in the order in which help shows them.
pub fn table() -> impl Iterator<Item = &'static Row> {
    [
        process::ROWS,
        interrupt::ROWS,
        task::ROWS,
        app::ROWS,
        diff::ROWS,
        image::ROWS,
        build::ROWS,
        registry::ROWS,
        logs::ROWS,
        exec::ROWS,
        events::ROWS,
        top::ROWS,
        status::ROWS,
        server::ROWS,
        doctor::ROWS,
        meta::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Every verb once, in the order of the table.
pub fn verbs() -> Vec<&'static str> {
    let mut verbs = Vec::new();
    for row in table() {
        if !verbs.contains(&row.verb) {
            verbs.push(row.verb);
        }
    }
    verbs
}
