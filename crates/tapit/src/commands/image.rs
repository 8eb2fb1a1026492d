//! Images.

use std::os::fd::AsFd;
use std::path::Path;

use hyper::Method;
use tapit_model::{ImageKey, ImageRef, ImageView, Outcome, Refusal};

use super::change::finish_now;
use super::session::Session;
use super::{Stop, confirm, transfer};
use crate::client::{Upload, query};
use crate::invocation::ArchiveSource;
use crate::output::{bytes, image_page, images_table, layers};

fn by_ref(name: &ImageRef) -> (&'static str, String) {
    ("ref", name.to_string())
}

fn by_key(key: &ImageKey) -> (&'static str, String) {
    ("ref", key.to_string())
}

pub async fn import(session: &mut Session<'_, '_>, source: ArchiveSource, name: Option<&ImageRef>) -> Result<(), Stop> {
    let (shown, body) = match &source {
        ArchiveSource::File(path) => (path.display().to_string(), open(path).await?),
        ArchiveSource::StandardInput if session.screen.terminals().input => {
            let text = "the standard input is a terminal; pipe an archive into it, or name a file";
            return Err(Refusal::usage(text).into());
        }
        ArchiveSource::StandardInput => ("the standard input".to_owned(), piped()?),
    };
    if session.common.dry_run {
        let named = name.map(|name| format!(" as {name}")).unwrap_or_default();
        session.screen.say(&format!("{shown} would be imported{named}\ndry run: nothing was changed"));
        return Ok(());
    }
    let path = format!("/v1/images{}", query(&name.map(by_ref).into_iter().collect::<Vec<_>>()));
    let images: Vec<ImageView> = session.client.upload(&path, body).await?;
    for image in &images {
        session.screen.say(&format!("imported {} from {shown}", image.name));
    }
    session.show(images.as_slice(), images_table)
}

async fn open(path: &Path) -> Result<Upload, Refusal> {
    let wrong = |what: String| Refusal::usage(format!("cannot read the archive {}: {what}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(|error| wrong(error.to_string()))?;
    let about = file.metadata().await.map_err(|error| wrong(error.to_string()))?;
    if about.is_dir() {
        return Err(wrong("it is a directory; give a tar file".to_owned()));
    }
    let length = about.is_file().then_some(about.len());
    Ok(Upload::stream(file, length))
}

/// The standard input by its descriptor: no line buffer stands before an archive.
fn piped() -> Result<Upload, Refusal> {
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned();
    let descriptor = descriptor.map_err(|error| Refusal::failed(format!("cannot read the standard input: {error}")))?;
    Ok(Upload::stream(tokio::fs::File::from_std(descriptor.into()), None))
}

pub async fn pull(session: &mut Session<'_, '_>, name: &ImageRef) -> Result<(), Stop> {
    if session.common.dry_run {
        let text = format!("{name} would be pulled from {}\ndry run: nothing was changed", name.registry());
        session.screen.say(&text);
        return Ok(());
    }
    let image = transfer::follow(session, &format!("/v1/images/pull{}", query(&[by_ref(name)]))).await?;
    session.screen.say(&format!("pulled {}: {} in {}", image.name, bytes(image.size), layers(image.layers)));
    session.show(&image, |image, colour| images_table(std::slice::from_ref(image), colour))
}

pub async fn list(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let images: Vec<ImageView> = session.client.get("/v1/images").await?;
    session.show(images.as_slice(), images_table)
}

pub async fn show(session: &mut Session<'_, '_>, key: &ImageKey) -> Result<(), Stop> {
    let image: ImageView = session.client.get(&format!("/v1/image{}", query(&[by_key(key)]))).await?;
    session.show(&image, image_page)
}

pub async fn delete(session: &mut Session<'_, '_>, key: &ImageKey) -> Result<(), Stop> {
    confirm::image(key, &session.common, session.screen)?;
    let mut pairs = vec![by_key(key)];
    if session.common.dry_run {
        pairs.push(("dry_run", "true".to_owned()));
    }
    let outcome: Outcome = session.client.change(Method::DELETE, &format!("/v1/image{}", query(&pairs)), None).await?;
    finish_now(session, &outcome)
}

pub async fn prune(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let path = format!("/v1/images/prune{}", session.dry_run());
    let outcome: Outcome = session.client.change(Method::POST, &path, None).await?;
    finish_now(session, &outcome)
}
