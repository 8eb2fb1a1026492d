//! Sends a held image to a registry.

use std::sync::Arc;

use tapit_engine::{ImageFault, TransferWatch};
use tapit_model::{Digest, ImageRef};

use super::Inner;
use super::error::Fault;

pub async fn run(inner: &Arc<Inner>, image: &ImageRef, _: &ImageRef, _: &TransferWatch) -> Result<Digest, Fault> {
    let named = inner.books.name(image);
    let named = named.ok_or_else(|| Fault::new(ImageFault::NotFound, "no image of this name is on this host"))?;
    Err(Fault::new(ImageFault::Host, format!("pushing {} is being built", named.digest)))
}
