//! Commands about the registries that the server asks for images.

use tapit_model::{Code, REGISTRY_KEYS, Refusal, RegistryName, RegistryPatch, Words};

use super::completion::NameKind;
use super::{Example, Form, Keys, Object, REGISTRY, Row, Scope, Typed, Word, flags};
use crate::invocation::{Action, Command, ask};

const NAME: Word = Word {
    key: "name",
    synonyms: &["registry"],
    form: Form::Bare,
    shown: "HOST",
    help: "the registry, as HOST or HOST:PORT; Docker Hub is docker.io",
    names: NameKind::Registries,
};

const fn keyed(key: &'static str, shown: &'static str, help: &'static str) -> Word {
    Word { key, synonyms: &[], form: Form::Keyed, shown, help, names: NameKind::Nothing }
}

pub static ROWS: &[Row] = &[
    Row {
        verb: "set",
        object: Object::One(&REGISTRY),
        scope: Scope::Server,
        summary: "Set a login, mirrors or plain HTTP for a registry",
        about: "Without a login that is set here, the server uses what `docker login` left for its user, credential helpers \
                included. Mirrors are asked first, in the order given; what they have not got comes from the registry. \
                An empty value clears. Images that could not be had are asked for again.",
        words: &[
            NAME,
            keyed("username", "[username=USER]", "user of the login"),
            keyed("password", "[password=-]", "password or token of the login; - reads it from the standard input"),
            Word {
                names: NameKind::Registries,
                ..keyed("mirror", "[mirror=HOST,...]", "registries that have the same images, asked first")
            },
            keyed(
                "plain_http",
                "[plain_http=true]",
                "allow plain HTTP; a registry on the server's own loopback needs no leave",
            ),
        ],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[
            Example {
                line: "tapit set registry ghcr.io username=ann password=-",
                what: "asks for the password, or reads it from a pipe",
            },
            Example { line: "tapit set registry docker.io mirror=mirror.example.com", what: "a mirror of Docker Hub" },
            Example {
                line: "tapit set registry registry.lan:5000 plain_http=true",
                what: "one without TLS, in a network that can be trusted",
            },
        ],
        exits: &[Code::Failed, Code::Usage, Code::Unavailable],
        mean: set,
    },
    Row {
        verb: "list",
        object: Object::Many(&REGISTRY),
        scope: Scope::Server,
        summary: "List the registries that something is set for",
        about: "",
        words: &[],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit list registries", what: "with their users and mirrors, never passwords" }],
        exits: &[Code::Usage, Code::Unavailable],
        mean: |_| ask(Command::ListRegistries),
    },
    Row {
        verb: "show",
        object: Object::One(&REGISTRY),
        scope: Scope::Server,
        summary: "Show what is set for a registry",
        about: "",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show registry ghcr.io", what: "its user and mirrors, never its password" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |typed| ask(Command::ShowRegistry { name: required(typed)? }),
    },
    Row {
        verb: "delete",
        object: Object::One(&REGISTRY),
        scope: Scope::Server,
        summary: "Forget everything that is set for a registry",
        about: "Images that came from it stay. Asks on a terminal; without one it needs --force.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::REMOVING,
        examples: &[Example { line: "tapit delete registry ghcr.io --force", what: "without a question" }],
        exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |typed| ask(Command::DeleteRegistry { name: required(typed)? }),
    },
];

fn required(typed: &Typed) -> Result<RegistryName, Refusal> {
    let missing =
        || format!("the registry is missing: `tapit {} HOST`; see `tapit list registries`", typed.row.title());
    let name = typed.own("name").ok_or_else(|| Refusal::usage(missing()))?;
    RegistryName::typed(name).map_err(|error| Refusal::usage(error.to_string()))
}

/// Read as the server will read it, so that a wrong line fails before a password is asked for.
fn set(typed: &Typed) -> Result<Action, Refusal> {
    let name = required(typed)?;
    let given = REGISTRY_KEYS.into_iter().filter_map(|key| Some((key.to_owned(), typed.own(key)?.to_owned())));
    let words: Words = given.collect();
    RegistryPatch::parse(&words)?;
    ask(Command::SetRegistry { name, words })
}
