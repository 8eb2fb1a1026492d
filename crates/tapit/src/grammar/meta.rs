//! Commands about the command line itself.

use tapit_model::{Code, Refusal, nearest};

use super::completion::{NameKind, Shell};
use super::help::Topic;
use super::{Example, Form, Keys, Object, Row, Scope, Typed, Word};
use crate::invocation::Action;

pub static ROWS: &[Row] = &[
    Row {
        verb: "help",
        object: Object::Nothing,
        scope: Scope::Server,
        summary: "Show help",
        about: "About a command, a verb or a noun. `tapit help exit-codes` lists the exit statuses, `tapit help environment` \
                the variables, and `tapit help man` prints the manual page (tapit help man | man -l -).",
        words: &[Word {
            key: "topic",
            synonyms: &[],
            form: Form::Rest,
            shown: "[VERB [NOUN] | NOUN | exit-codes | environment | man]",
            help: "what to show; without it the overview",
            names: NameKind::Topics,
        }],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit help set process", what: "the keys, the flags and examples" }],
        exits: &[Code::Usage],
        mean: |typed| Ok(Action::Help(Topic::find(&typed.rest)?)),
    },
    Row {
        verb: "completion",
        object: Object::Nothing,
        scope: Scope::Server,
        summary: "Print a completion script for a shell",
        about: "bash: source <(tapit completion bash). zsh: source <(tapit completion zsh), after compinit. \
                fish: tapit completion fish | source.",
        words: &[Word {
            key: "shell",
            synonyms: &[],
            form: Form::Rest,
            shown: "bash|zsh|fish",
            help: "the shell",
            names: NameKind::Shells,
        }],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit completion bash", what: "to be sourced in ~/.bashrc" }],
        exits: &[Code::Usage],
        mean: completion,
    },
];

fn completion(typed: &Typed) -> Result<Action, Refusal> {
    const LEGAL: &str = "write `tapit completion bash`, `tapit completion zsh` or `tapit completion fish`";
    let [word] = typed.rest.as_slice() else {
        return Err(Refusal::usage(format!("completion takes one shell; {LEGAL}")));
    };
    Shell::ALL.into_iter().find(|shell| shell.name() == word).map(Action::Completion).ok_or_else(|| {
        let guess = nearest(word, Shell::ALL.map(Shell::name)).map(|near| format!("did you mean {near}? "));
        Refusal::usage(format!("no completion for {word:?}; {}{LEGAL}", guess.unwrap_or_default()))
    })
}
