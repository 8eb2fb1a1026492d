//! Commands about images held by the server.

use tapit_model::{Code, ImageKey, ImageRef, Refusal};

use super::completion::NameKind;
use super::{Example, Form, IMAGE, Keys, Object, Row, Scope, Typed, Word, flags};
use crate::invocation::{Action, ArchiveSource, Command, ask};

const NAME: Word = Word {
    key: "name",
    synonyms: &["ref"],
    form: Form::Bare,
    shown: "NAME:TAG",
    help: "the image, as NAME:TAG or name=NAME:TAG",
    names: NameKind::Images,
};

/// Where a digest says it as well.
const KEY: Word = Word {
    shown: "NAME:TAG|DIGEST",
    help: "the image, as NAME:TAG, or by its digest or the beginning of that",
    ..NAME
};

pub static ROWS: &[Row] = &[
    Row {
        verb: "pull",
        object: Object::One(&IMAGE),
        scope: Scope::Server,
        summary: "Fetch an image from its registry",
        about: "An image that a process needs is fetched by itself; this fetches it before, or fetches what its tag means \
                now. Layers that are there already are not fetched again. Interrupted, the server goes on with it.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit pull image nginx:1.29", what: "from Docker Hub" },
            Example {
                line: "tapit pull image registry.example.com:5000/shop/web:v1",
                what: "from a registry of your own",
            },
        ],
        exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Denied, Code::Unavailable],
        mean: |typed| ask(Command::PullImage { name: required(typed)? }),
    },
    Row {
        verb: "import",
        object: Object::One(&IMAGE),
        scope: Scope::Server,
        summary: "Import an image from an archive",
        about: "The archive is a tar of `docker save` or of an OCI layout. An imported image is used as it is; no registry \
                is asked for it.",
        words: &[
            Word {
                key: "file",
                synonyms: &[],
                form: Form::Bare,
                shown: "FILE|-",
                help: "the archive; - reads the standard input",
                names: NameKind::Files,
            },
            Word {
                key: "ref",
                synonyms: &["name"],
                form: Form::Keyed,
                shown: "[ref=NAME:TAG]",
                help: "the image's name, instead of the archive's own",
                names: NameKind::Nothing,
            },
        ],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit import image web.tar", what: "with the name that the archive holds" },
            Example {
                line: "tapit import image - ref=myapp/web:v1",
                what: "from a pipe: docker save myapp/web:v1 | ...",
            },
        ],
        exits: &[Code::Failed, Code::Usage, Code::Unavailable],
        mean: import,
    },
    Row {
        verb: "list",
        object: Object::Many(&IMAGE),
        scope: Scope::Server,
        summary: "List the images held by the server",
        about: "A row for each name; an image that no name stands for any more is listed as <none>. SHARED is the part of \
                its size that lies in layers of other images too.",
        words: &[],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit list images", what: "with their size and who uses them" }],
        exits: &[Code::Usage, Code::Unavailable],
        mean: |_| ask(Command::ListImages),
    },
    Row {
        verb: "show",
        object: Object::One(&IMAGE),
        scope: Scope::Server,
        summary: "Show an image",
        about: "",
        words: &[KEY],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show image myapp/web:v1", what: "its command, ports, user and users" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |typed| ask(Command::ShowImage { key: key(typed)? }),
    },
    Row {
        verb: "delete",
        object: Object::One(&IMAGE),
        scope: Scope::Server,
        summary: "Forget an image",
        about: "By its name, only the name goes while the image has others; by its digest, all of its names go. An image in \
                use stays. Asks on a terminal; without one it needs --force.",
        words: &[KEY],
        keys: Keys::Nothing,
        flags: flags::REMOVING,
        examples: &[
            Example { line: "tapit delete image myapp/web:v1 --force", what: "without a question" },
            Example {
                line: "tapit delete image 4f0c6a1b9d3e --dry-run",
                what: "one without a name; says what it would free",
            },
        ],
        exits: &[Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
        mean: |typed| ask(Command::DeleteImage { key: key(typed)? }),
    },
    Row {
        verb: "prune",
        object: Object::Many(&IMAGE),
        scope: Scope::Server,
        summary: "Forget every image that nothing uses",
        about: "In use is what a process runs, is to run or would go back to, what an app names for processes to come, and \
                what is being made ready. The server forgets unused images by itself when they take more than --images-disk.",
        words: &[],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[Example { line: "tapit prune images --dry-run", what: "says what would go" }],
        exits: &[Code::Failed, Code::Usage, Code::Unavailable],
        mean: |_| ask(Command::PruneImages),
    },
];

fn missing(typed: &Typed) -> Refusal {
    Refusal::usage(format!(
        "the image's name is missing: `tapit {} NAME:TAG`; see `tapit list images`",
        typed.row.title()
    ))
}

fn required(typed: &Typed) -> Result<ImageRef, Refusal> {
    typed.image("name")?.ok_or_else(|| missing(typed))
}

fn key(typed: &Typed) -> Result<ImageKey, Refusal> {
    let text = typed.own("name").ok_or_else(|| missing(typed))?;
    ImageKey::parse(text).map_err(|error| Refusal::usage(error.to_string()))
}

fn import(typed: &Typed) -> Result<Action, Refusal> {
    let source = match typed.own("file") {
        None | Some("") => {
            let text = "the archive is missing: `tapit import image FILE`, or - for the standard input";
            return Err(Refusal::usage(text));
        }
        Some("-") => ArchiveSource::StandardInput,
        Some(path) => ArchiveSource::File(path.into()),
    };
    ask(Command::ImportImage { source, name: typed.image("ref")? })
}
