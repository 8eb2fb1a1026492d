//! Sends images away.

use std::sync::Arc;

use tapit_model::{ImageKey, ImageRef, ImageView, Refusal};

use super::{images, transfer};
use crate::api::TransferFrames;
use crate::hub::Hub;

/// The view in the last frame is called what the image is called in the registry.
pub async fn push(hub: &Arc<Hub>, name: ImageRef, to: ImageRef) -> Result<TransferFrames, Refusal> {
    let view = images::show(hub, &ImageKey::from(name.clone())).await?;
    let at = Arc::clone(hub);
    Ok(transfer::frames(hub, |watch| async move {
        let pushed = at.engine.images().push(&name, &to, &watch).await;
        let digest = pushed.map_err(|error| images::refused(&error))?;
        Ok(ImageView { name: format!("{to}@{digest}"), ..view })
    }))
}
