//! Builds an image on this machine and hands it to the server.
//!
//! A program that is installed here does the building (`crate::builder` says how); its output is talk. What it made is
//! written to a temporary archive, and imported as any other archive is, once the program has said that all went well:
//! a build that fails changes nothing on the server.

mod program;
mod tag;

use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use tapit_model::{AppName, AppView, Code, ImageRef, ImageView, Refusal};
use tempfile::TempDir;
use tokio::process::Command;

use super::Stop;
use super::session::Session;
use crate::builder::{self, ARCHIVE, Builder, Recipe, Stdout, Step};
use crate::client::{ClientError, Upload, query};
use crate::invocation::{BuildWanted, ImageName};
use crate::output::{command_line, images_table};
use program::{Ended, Interrupts};

/// Lines of a failed program that are told again with the failure.
const LAST_LINES: usize = 10;

/// Which app the image is for, as far as that is known.
enum For {
    Nobody,
    App(AppName),
    /// An app whose image is called so already, and one of its processes: they run what the name stood for before.
    SameName(AppName, String),
    /// An app that is yet to be made.
    NewApp(AppName),
}

/// A builder that works here.
struct Chosen {
    builder: Builder,
    program: PathBuf,
}

pub async fn build(session: &mut Session<'_, '_>, wanted: BuildWanted) -> Result<(), Stop> {
    let context = directory(&session.directory().join(&wanted.context))?;
    let dockerfile = dockerfile(session.directory(), &context, wanted.dockerfile.as_deref())?;
    let (name, whose) = name(session, &wanted.name, &context).await?;
    let recipe = Recipe { name, dockerfile, context, options: wanted.options };
    let mut interrupts = Interrupts::new().map_err(|error| failed("listen for signals", &error))?;
    let chosen = choose(session, wanted.builder).await?;
    let steps = chosen.builder.steps(&recipe);
    if session.common.dry_run {
        for step in &steps {
            session.screen.say(&shown(chosen.builder, step));
        }
        session.screen.say(&format!("{} would be imported\ndry run: nothing was changed", recipe.name));
        return Ok(());
    }
    let place = TempDir::with_prefix_in("tapit-build-", temporary(session));
    let place = place.map_err(|error| failed("make room for the image", &error))?;
    for step in &steps {
        run(session, &mut interrupts, (&chosen, step), place.path()).await?;
    }
    let archive = place.path().join(ARCHIVE);
    let image = tokio::select! {
        image = import(session, &recipe.name, &archive) => image?,
        status = interrupts.next() => return Err(Stop::Ended(status)),
    };
    session.screen.say(&format!("built {} with {}", image.name, chosen.builder.program()));
    session.screen.say(&format!("next: {}", next(&whose, &image.name)));
    session.show(&image, |image, colour| images_table(std::slice::from_ref(image), colour))
}

fn failed(act: &str, error: &std::io::Error) -> Refusal {
    Refusal::failed(format!("cannot {act}: {error}"))
}

fn temporary(session: &Session<'_, '_>) -> PathBuf {
    session.variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// The context, with no link left in its path.
fn directory(path: &Path) -> Result<PathBuf, Refusal> {
    let wrong = |what: &str| Refusal::usage(format!("cannot build from {}: {what}", path.display()));
    let real = path.canonicalize().map_err(|error| wrong(&error.to_string()))?;
    if real.is_dir() { Ok(real) } else { Err(wrong("it is no directory")) }
}

/// A path that was typed is meant from here or, as some tools have it, from the context.
fn dockerfile(here: &Path, context: &Path, typed: Option<&Path>) -> Result<PathBuf, Refusal> {
    let candidates = match typed {
        Some(path) => [here.join(path), context.join(path)],
        None => ["Dockerfile", "Containerfile"].map(|name| context.join(name)),
    };
    let found = candidates.iter().find(|path| path.is_file()).and_then(|path| path.canonicalize().ok());
    found.ok_or_else(|| {
        let text = match typed {
            Some(path) => format!("there is no file {}, here or in {}", path.display(), context.display()),
            None => format!(
                "{} holds neither a Dockerfile nor a Containerfile; give dockerfile=PATH or another directory",
                context.display()
            ),
        };
        Refusal::usage(text)
    })
}

/// The image's name, and whom it is for. The server is asked in any case: one that cannot be reached should not be found
/// out only after a long build.
async fn name(session: &Session<'_, '_>, wanted: &ImageName, context: &Path) -> Result<(ImageRef, For), Stop> {
    let tag = match wanted {
        ImageName::Whole(name) => {
            let _: IgnoredAny = session.client.get("/v1/status").await?;
            let app = session.named_app()?;
            return Ok((name.clone(), app.map_or(For::Nobody, For::App)));
        }
        ImageName::Tagged(tag) => tag.clone(),
        ImageName::OfTheApp => tag::of(context, session.variable("PATH").unwrap_or_default()).await,
    };
    let app = session.app().await.map_err(|stop| match stop {
        Stop::Refused(refusal) if refusal.code == Code::Usage => {
            let text = format!("{}; or name the image: ref=NAME:TAG", refusal.message);
            Stop::Refused(Refusal::usage(text))
        }
        stop @ (Stop::Refused(_) | Stop::Ended(_) | Stop::Write(_)) => stop,
    })?;
    let view: Result<AppView, ClientError> = session.client.get(&format!("/v1/apps/{app}")).await;
    let view = match view {
        Ok(view) => Some(view),
        Err(ClientError::Refused(refusal)) if refusal.code == Code::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let present = view.as_ref().and_then(|view| ImageRef::parse(view.image.as_deref()?).ok());
    let name = builder::next_name(app.as_str(), present.as_ref(), &tag);
    let wrong = || Refusal::usage(format!("an image cannot be called {app}:{tag}; name it with ref=NAME:TAG"));
    let name = name.ok_or_else(wrong)?;
    let process = view.as_ref().and_then(|view| view.processes.first()).filter(|_| present.as_ref() == Some(&name));
    let whose = match (&view, process) {
        (None, _) => For::NewApp(app),
        (Some(_), Some(process)) => For::SameName(app, process.clone()),
        (Some(_), None) => For::App(app),
    };
    Ok((name, whose))
}

/// What to type to use the image.
fn next(whose: &For, image: &str) -> String {
    match whose {
        For::Nobody => format!("tapit set app image={image}"),
        For::App(app) => format!("tapit set app {app} image={image}"),
        For::SameName(app, process) => format!("tapit restart process name={process} -a {app}"),
        For::NewApp(app) => format!("tapit create app {app} image={image}"),
    }
}

/// The builder that was asked for, else the first that is installed and works.
async fn choose(session: &mut Session<'_, '_>, wanted: Option<Builder>) -> Result<Chosen, Refusal> {
    let search = session.variable("PATH").unwrap_or_default();
    let mut silent = Vec::new();
    for builder in Builder::ALL.into_iter().filter(|builder| wanted.is_none_or(|wanted| wanted == *builder)) {
        let name = builder.program();
        let Some(program) = builder::locate(name, search) else { continue };
        let answer = match builder.probe() {
            Some(arguments) => program::answer(Command::new(&program).args(arguments)).await,
            None => Ok(String::new()),
        };
        match answer {
            Ok(_) => return Ok(Chosen { builder, program }),
            Err(why) => {
                session.screen.say(&format!("{name} is installed but cannot build now: {why}"));
                silent.push(name);
            }
        }
    }
    let install = "apt install buildah";
    let text = match (wanted, silent.as_slice()) {
        (Some(builder), []) => {
            let name = builder.program();
            format!("{name} is not installed; install it, or leave builder= out to use another builder")
        }
        (None, []) => format!(
            "nothing that builds images is installed here; install buildah ({install}, dnf install buildah), docker, \
             podman or buildctl of BuildKit"
        ),
        (_, names) => format!(
            "no builder works here: {} cannot build now; start its daemon, or install buildah ({install}), which needs \
             none",
            names.join(" and ")
        ),
    };
    Err(Refusal::failed(text))
}

fn shown(builder: Builder, step: &Step) -> String {
    let words = step.arguments.iter().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = std::iter::once(builder.program().to_owned()).chain(words).collect();
    let to = match step.stdout {
        Stdout::Talk => String::new(),
        Stdout::Archive => format!(" > {ARCHIVE}"),
    };
    format!("{}{to}", command_line(&words))
}

async fn run(
    session: &mut Session<'_, '_>,
    interrupts: &mut Interrupts,
    (chosen, step): (&Chosen, &Step),
    place: &Path,
) -> Result<(), Stop> {
    let name = chosen.builder.program();
    let archive = match step.stdout {
        Stdout::Talk => None,
        Stdout::Archive => {
            Some(std::fs::File::create(place.join(ARCHIVE)).map_err(|error| failed("make room", &error))?)
        }
    };
    let mut command = Command::new(&chosen.program);
    command.args(&step.arguments).current_dir(place);
    let ran = program::run(session.screen, command, archive, interrupts).await;
    let (ended, tail) = ran.map_err(|error| failed(&format!("run {name}"), &error))?;
    match ended {
        Ended::Interrupted(status) => Err(Stop::Ended(status)),
        Ended::Exited(status) if status.success() => Ok(()),
        Ended::Exited(status) => {
            let mut text = format!("the build failed: {name} ended with {status}; nothing was imported");
            for line in tail.last(LAST_LINES) {
                text += &format!("\n  | {line}");
            }
            Err(Refusal::failed(text).into())
        }
    }
}

async fn import(session: &Session<'_, '_>, name: &ImageRef, archive: &Path) -> Result<ImageView, Stop> {
    let unreadable = |error: std::io::Error| failed("read what was built", &error);
    let file = tokio::fs::File::open(archive).await.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    let asked = query(&[("ref", name.to_string()), ("source", "build".to_owned())]);
    let body = Upload::stream(file, Some(length));
    let images: Vec<ImageView> = session.client.upload(&format!("/v1/images{asked}"), body).await?;
    let none = || Refusal::failed("the server imported no image");
    Ok(images.into_iter().next().ok_or_else(none)?)
}
