//! Commands that make images and send them away. Unlike all others they may be typed noun first, because that is how
//! many people know them: `tapit image build`, `tapit image push`.

use tapit_model::{Code, ImageRef, Refusal};

use super::completion::NameKind;
use super::{Example, Form, IMAGE, Keys, Object, Row, Scope, Typed, Word, flags};
use crate::builder::{Builder, Options};
use crate::invocation::{Action, BuildWanted, Command, ImageName, ask};

const TAG: Word = Word {
    key: "docker_tag",
    synonyms: &["tag"],
    form: Form::Keyed,
    shown: "[docker_tag=TAG]",
    help: "the image's tag; else the commit of a clean git work tree, else the time",
    names: NameKind::Nothing,
};

const DOCKERFILE: Word = Word {
    key: "dockerfile",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[dockerfile=PATH]",
    help: "what to build by; else CONTEXT/Dockerfile, else CONTEXT/Containerfile",
    names: NameKind::Files,
};

const CONTEXT: Word = Word {
    key: "context",
    synonyms: &[],
    form: Form::Bare,
    shown: "[CONTEXT]",
    help: "the directory to build from; this one when left out",
    names: NameKind::Files,
};

const REF: Word = Word {
    key: "ref",
    synonyms: &["name"],
    form: Form::Keyed,
    shown: "[ref=NAME:TAG]",
    help: "the image's whole name, whatever the app's image is called",
    names: NameKind::Nothing,
};

const BUILDER: Word = Word {
    key: "builder",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[builder=PROGRAM]",
    help: "buildah, docker, podman or buildctl; else the first that works",
    names: NameKind::Builders,
};

const BUILD_ARG: Word = Word {
    key: "build_arg",
    synonyms: &[],
    form: Form::Each,
    shown: "[build_arg=K=V ...]",
    help: "sets an ARG of the Dockerfile; may be given for each of them",
    names: NameKind::Nothing,
};

const TARGET: Word = Word {
    key: "target",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[target=STAGE]",
    help: "the stage to build, instead of the last one",
    names: NameKind::Nothing,
};

const PLATFORM: Word = Word {
    key: "platform",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[platform=OS/ARCH]",
    help: "what to build for, if the server is another kind of machine",
    names: NameKind::Nothing,
};

const NO_CACHE: Word = Word {
    key: "no_cache",
    synonyms: &[],
    form: Form::Keyed,
    shown: "[no_cache=true]",
    help: "run every step again",
    names: NameKind::Nothing,
};

/// These and no others are understood noun first as well.
pub static ROWS: &[Row] = &[
    Row {
        verb: "build",
        object: Object::One(&IMAGE),
        scope: Scope::App,
        summary: "Build an image from a Dockerfile and import it",
        about: "Builds on this machine, with a program that is installed here, and hands the image to the server. It gets \
                the name of the app's image with the new tag; an app without an image gives its own name. Also \
                understood as `tapit image build`.",
        words: &[CONTEXT, TAG, DOCKERFILE, REF, BUILDER, BUILD_ARG, TARGET, PLATFORM, NO_CACHE],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit image build docker_tag=v2", what: "this directory, for the selected app" },
            Example {
                line: "tapit build image ./web dockerfile=web.Dockerfile build_arg=NODE=22 -a shop",
                what: "another directory, with an argument",
            },
            Example { line: "tapit build image ref=myapp/web:v2 --dry-run", what: "shows what would be run" },
        ],
        exits: &[Code::Failed, Code::Usage, Code::Unavailable],
        mean: build,
    },
    Row {
        verb: "push",
        object: Object::One(&IMAGE),
        scope: Scope::App,
        summary: "Send an image to a registry",
        about: "Layers that the registry has are not sent again. The server logs in with what `tapit set registry` or \
                `docker login` stored. Also understood as `tapit image push`.",
        words: &[
            Word {
                key: "name",
                synonyms: &["ref"],
                form: Form::Bare,
                shown: "[NAME:TAG]",
                help: "an image that the server holds; the app's when left out",
                names: NameKind::Images,
            },
            Word {
                key: "to",
                synonyms: &[],
                form: Form::Keyed,
                shown: "[to=REGISTRY/NAME:TAG]",
                help: "where to; when left out, where its own name points",
                names: NameKind::Nothing,
            },
        ],
        keys: Keys::Nothing,
        flags: flags::CHANGING,
        examples: &[
            Example { line: "tapit image push ghcr.io/me/web:v2", what: "to the registry ghcr.io" },
            Example { line: "tapit push image web:v2 to=registry.example.com/web:v2", what: "under another name" },
        ],
        exits: &[Code::Failed, Code::Usage, Code::NotFound, Code::Denied, Code::Unavailable],
        mean: push,
    },
];

fn build(typed: &Typed) -> Result<Action, Refusal> {
    let name = match (typed.image("ref")?, typed.own("docker_tag").filter(|tag| !tag.is_empty())) {
        (Some(name), _) if name.digest().is_some() => {
            return Err(Refusal::usage(format!("ref={name} has a digest, which nobody knows before it is built")));
        }
        (Some(_), Some(_)) => {
            return Err(Refusal::usage("ref= holds the tag already; give either ref= or docker_tag="));
        }
        (Some(name), None) => ImageName::Whole(name),
        (None, Some(tag)) => ImageName::Tagged(legal_tag(tag)?),
        (None, None) => ImageName::OfTheApp,
    };
    let options = Options {
        args: typed.each("build_arg").map(build_arg).collect::<Result<_, _>>()?,
        target: plain(typed, "target")?,
        platform: plain(typed, "platform")?,
        no_cache: switch(typed, "no_cache")?,
    };
    ask(Command::BuildImage(BuildWanted {
        context: typed.own("context").filter(|path| !path.is_empty()).unwrap_or(".").into(),
        dockerfile: typed.own("dockerfile").filter(|path| !path.is_empty()).map(Into::into),
        name,
        builder: typed.own("builder").filter(|word| !word.is_empty()).map(builder).transpose()?,
        options,
    }))
}

fn push(typed: &Typed) -> Result<Action, Refusal> {
    let to = typed.image("to")?;
    if let Some(to) = to.as_ref().filter(|to| to.digest().is_some()) {
        return Err(Refusal::usage(format!("to={to} has a digest; an image is pushed under a tag")));
    }
    ask(Command::PushImage { name: typed.image("name")?, to })
}

/// The tag alone: what else makes a reference would change its name.
fn legal_tag(tag: &str) -> Result<String, Refusal> {
    let alone = |name: &ImageRef| name.tag() == Some(tag) && name.digest().is_none();
    if ImageRef::parse(&format!("x:{tag}")).is_ok_and(|name| alone(&name)) {
        return Ok(tag.to_owned());
    }
    let text =
        format!("docker_tag={tag} is not legal; give letters, digits, dots, hyphens and underscores, at most 128");
    Err(Refusal::usage(text))
}

fn build_arg(pair: &str) -> Result<(String, String), Refusal> {
    let legal = |key: &str| {
        !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let pair = pair.split_once('=').filter(|(key, value)| legal(key) && !value.contains('\0'));
    let pair = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| Refusal::usage("a build argument is a name and a value: build_arg=NAME=VALUE"))
}

/// A word that a builder gets as it is.
fn plain(typed: &Typed, key: &str) -> Result<Option<String>, Refusal> {
    let Some(word) = typed.own(key).filter(|word| !word.is_empty()) else { return Ok(None) };
    if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b)) {
        return Ok(Some(word.to_owned()));
    }
    let text = format!("{key}={word} is not legal; it holds letters, digits, dots, slashes, hyphens and underscores");
    Err(Refusal::usage(text))
}

fn switch(typed: &Typed, key: &str) -> Result<bool, Refusal> {
    match typed.own(key).map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "false" | "no" | "off" | "0") => Ok(false),
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some(other) => {
            let text = format!("{key}={other} is not legal; give true or false (yes/no, on/off, 1/0)");
            Err(Refusal::usage(text))
        }
    }
}

fn builder(word: &str) -> Result<Builder, Refusal> {
    Builder::parse(word).ok_or_else(|| {
        let names = Builder::ALL.map(Builder::program);
        let guess = tapit_model::nearest(word, names);
        let guess = guess.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Refusal::usage(format!("builder={word} is not known; {guess}the builders are {}", names.join(", ")))
    })
}
