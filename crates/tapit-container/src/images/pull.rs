//! Pulls an image because somebody said so: what the registry has now, and nothing else.

use std::sync::Arc;

use tapit_engine::{ImageFault, TransferWatch};
use tapit_model::{ImageRef, ImageView};

use super::Inner;
use super::error::Fault;
use super::prepare;

pub async fn run(inner: &Arc<Inner>, image: &ImageRef, _: &TransferWatch) -> Result<ImageView, Fault> {
    let held = inner.books.name(image);
    prepare::pull(inner, image, held.as_ref()).await?;
    let views = inner.books.views(|diff_ids| inner.layers.bytes(diff_ids));
    let shown = image.to_string();
    let lost = || Fault::new(ImageFault::NotFound, "it was removed while it was pulled");
    views.into_iter().find(|view| view.name == shown).ok_or_else(lost)
}
