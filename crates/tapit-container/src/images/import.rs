//! Imports an archive: listed by the helper, read, unpacked layer by layer, entered in the books all at once.
//!
//! Until then nothing refers to what was unpacked, so an archive that fails half-way changes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tapit_engine::{EngineError, ImageFault};
use tapit_model::{ImageRef, ImageView};

use super::Inner;
use super::archive::{self, Archived, Members};
use super::books::{Named, Source};
use super::error::Fault;
use super::helper::{self, Answer, Budget, Order};
use super::layers::chain;

/// Members of an archive: a few for each layer.
const MAX_MEMBERS: u64 = 50_000;

pub async fn run(
    inner: &Arc<Inner>,
    path: &Path,
    name: Option<&ImageRef>,
    source: Source,
) -> Result<Vec<ImageView>, EngineError> {
    let limit = inner.limits.total_timeout;
    let done = tokio::time::timeout(limit, import(inner, path, name, source)).await.unwrap_or_else(|_| {
        Err(Fault::new(ImageFault::Host, format!("importing it took longer than {} s", limit.as_secs())))
    });
    if done.is_err() {
        super::clear_up(inner).await;
    }
    done.map_err(|fault| match fault.fault {
        ImageFault::Host => EngineError::act("import the image archive", fault.text),
        ImageFault::NotFound
        | ImageFault::Unreachable
        | ImageFault::Denied
        | ImageFault::Invalid
        | ImageFault::InUse => EngineError::Archive { text: fault.text },
    })
}

async fn import(
    inner: &Arc<Inner>,
    path: &Path,
    name: Option<&ImageRef>,
    source: Source,
) -> Result<Vec<ImageView>, Fault> {
    // Kept to the end: layers of a compressed archive are read from it.
    let spool = tempfile::NamedTempFile::new_in(&inner.layout.spool)
        .map_err(|error| Fault::host("make room for the archive", &error))?
        .into_temp_path();
    let members = index(inner, path, &spool).await?;
    let platform = inner.platform;
    let mut images = tokio::task::spawn_blocking(move || archive::read(&members, &platform))
        .await
        .map_err(|error| Fault::host("read the archive", &error))??;
    name_all(&mut images, name)?;
    let mut holds = Vec::new();
    for image in &images {
        let links = chain(&image.config.diff_ids);
        holds.push(inner.layers.hold(&links));
        for (number, (blob, digest)) in image.layers.iter().enumerate() {
            let _lock = inner.layers.lock(&links[number]).await;
            if !inner.layers.is_done(&links[number]) {
                inner.layers.unpack(&links[..=number], blob.clone(), digest.clone()).await?;
            }
        }
    }
    let views = enter(inner, images, source).await?;
    drop(holds);
    Ok(views)
}

async fn index(inner: &Inner, path: &Path, spool: &Path) -> Result<Members, Fault> {
    let order = Order::Index {
        archive: path.to_owned(),
        spool: spool.to_owned(),
        empty: inner.layout.empty.clone(),
        budget: Budget { bytes: inner.limits.image_bytes, entries: MAX_MEMBERS },
    };
    match helper::run(inner.layers.exe(), &order, inner.limits.total_timeout).await? {
        Answer::Index { spooled, members } => Members::open(if spooled { spool } else { path }.to_owned(), members),
        Answer::Bad(text) => Err(Fault::invalid(format!("the file cannot be imported: {text}"))),
        Answer::Host(text) => Err(Fault::new(ImageFault::Host, text)),
        Answer::Unpacked(_) => Err(Fault::new(ImageFault::Host, "the unpacking helper answered another order")),
    }
}

/// Sees to it that every image has a name.
fn name_all(images: &mut [Archived], name: Option<&ImageRef>) -> Result<(), Fault> {
    match (name, &mut *images) {
        (Some(name), [only]) => only.names = vec![name.clone()],
        (Some(name), many) => {
            return Err(Fault::invalid(format!(
                "the archive holds {} images, so they cannot all be named {name}; leave ref= out",
                many.len()
            )));
        }
        (None, _) => {}
    }
    if images.iter().any(|image| image.names.is_empty()) {
        return Err(Fault::invalid("the archive does not name its image; give it a name with ref=NAME:TAG"));
    }
    if let Some(digested) = images.iter().flat_map(|image| &image.names).find(|name| name.digest().is_some()) {
        return Err(Fault::invalid(format!(
            "an imported image is named NAME:TAG, without a digest, unlike {digested}"
        )));
    }
    Ok(())
}

async fn enter(inner: &Arc<Inner>, images: Vec<Archived>, source: Source) -> Result<Vec<ImageView>, Fault> {
    let created = super::now();
    let mut names = Vec::new();
    let mut entries = Vec::new();
    for image in images {
        let named = Named { digest: image.digest, source, manifest: None, created };
        names.extend(image.names.into_iter().map(|name| (name, named.clone())));
        entries.push((image.bytes, image.config));
    }
    let told: BTreeSet<String> = names.iter().map(|(name, _)| name.to_string()).collect();
    super::enter(inner, entries, names).await?;
    Ok(inner.views().into_iter().filter(|view| told.contains(&view.name)).collect())
}
