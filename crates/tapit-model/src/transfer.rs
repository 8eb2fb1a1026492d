//! How far an image on its way is, from a registry or to one.

use serde::{Deserialize, Serialize};

use crate::{ImageView, Refusal};

/// What happens to a layer at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LayerState {
    Waiting,
    Fetching,
    /// Fetched, and waiting to be unpacked or being unpacked.
    Unpacking,
    Pushing,
    Done,
    /// It was there already.
    Held,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LayerTransfer {
    /// Twelve digits of the layer's digest.
    pub layer: String,
    pub state: LayerState,
    /// Bytes as they are on the wire.
    pub done: u64,
    /// 0 while it is not known.
    pub total: u64,
}

/// All layers of one image, lowest first; empty until the registry has said what the image is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transfer {
    pub layers: Vec<LayerTransfer>,
}

/// What the server tells of a transfer, a line of JSON each; the last one is `done` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TransferFrame {
    Progress(Transfer),
    Done(Box<ImageView>),
    Failed(Refusal),
}
