//! What an app would find different on another engine.

use serde::{Deserialize, Serialize};

/// One thing of one process that is not the same there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DifferenceView {
    pub process: String,
    /// A key of the process, or what else is meant: `rollout`, `address`, `names`.
    pub what: String,
    /// On the engine that the server runs.
    pub here: String,
    /// On the engine that was asked about.
    pub there: String,
    /// Why, and what to do about it.
    pub note: String,
}
