//! Makes one image ready to start: as it is held here if that cannot change, as the registry has it now otherwise.
//!
//! The engine asks for it before it starts instances. A registry that cannot be asked is no reason not to start: the
//! copy that is held here is used then, with a warning.

use std::sync::Arc;

use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef, PinnedImage};

use super::error::Fault;
use super::{Inner, Prepared, pull};

pub async fn run(inner: &Arc<Inner>, image: &ImageRef) -> Result<Prepared, Fault> {
    let held = inner.books.name(image);
    if let Some(named) = &held {
        let fixed = named.source.is_local() || image.digest().is_some();
        match (fixed, ready(inner, image, &named.digest)) {
            (true, Ok(image)) => return Ok(Prepared { image, warning: None }),
            (true, Err(fault)) if named.source.is_local() => {
                return Err(Fault::new(fault.fault, format!("{}; import it again", fault.text)));
            }
            (true | false, _) => {}
        }
    }
    let pulled = pull::flight(inner, image).landed(|_| {}).await;
    match (pulled, held) {
        (Err(fault), Some(named)) if fault.fault == ImageFault::Unreachable => {
            let image = ready(inner, image, &named.digest).map_err(|_| fault.clone())?;
            let name = &image.reference;
            let text = format!("image {name}: {}; the copy of {} that is held here is used", fault.text, named.created);
            Ok(Prepared { image, warning: Some(text) })
        }
        (pulled, _) => pulled.map(|image| Prepared { image, warning: None }),
    }
}

/// The image as it is on disk, if all of it is.
pub fn ready(inner: &Inner, image: &ImageRef, digest: &Digest) -> Result<PinnedImage, Fault> {
    let config = inner.books.image(digest)?;
    inner.layers.paths(&config.diff_ids)?;
    let (reference, exposed) = (image.clone(), config.run.exposed.clone());
    Ok(PinnedImage { reference, digest: digest.clone(), exposed })
}
