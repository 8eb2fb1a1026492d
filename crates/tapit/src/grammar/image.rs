//! Commands about images held by the server.

use tapit_model::{Code, ImageRef, Refusal};

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

pub static ROWS: &[Row] = &[
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
        about: "",
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
        words: &[NAME],
        keys: Keys::Nothing,
        flags: &[],
        examples: &[Example { line: "tapit show image myapp/web:v1", what: "its command, ports, user and users" }],
        exits: &[Code::Usage, Code::NotFound, Code::Unavailable],
        mean: |typed| ask(Command::ShowImage { name: required(typed)? }),
    },
    Row {
        verb: "delete",
        object: Object::One(&IMAGE),
        scope: Scope::Server,
        summary: "Forget an image",
        about: "Asks on a terminal; without one it needs --force.",
        words: &[NAME],
        keys: Keys::Nothing,
        flags: flags::REMOVING,
        examples: &[Example { line: "tapit delete image myapp/web:v1 --force", what: "without a question" }],
        exits: &[Code::Usage, Code::NotFound, Code::Conflict, Code::Unavailable],
        mean: |typed| ask(Command::DeleteImage { name: required(typed)? }),
    },
    Row {
        verb: "prune",
        object: Object::Many(&IMAGE),
        scope: Scope::Server,
        summary: "Forget every image that nothing uses",
        about: "",
        words: &[],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[Example { line: "tapit prune images --dry-run", what: "says what would go" }],
        exits: &[Code::Failed, Code::Usage, Code::Unavailable],
        mean: |_| ask(Command::PruneImages),
    },
];

fn required(typed: &Typed) -> Result<ImageRef, Refusal> {
    let missing =
        || format!("the image's name is missing: `tapit {} NAME:TAG`; see `tapit list images`", typed.row.title());
    typed.image("name")?.ok_or_else(|| Refusal::usage(missing()))
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
