//! What is said when images go: which must stay, which is meant, what that came to.

use std::collections::BTreeSet;
use std::sync::Arc;

use tapit_model::{Digest, ImageRef};

/// Images that must stay, whoever asks for them to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    pub digests: BTreeSet<Digest>,
    /// Whatever these names stand for: they are being made ready, and nobody has the digest yet.
    pub names: BTreeSet<ImageRef>,
}

impl InUse {
    pub fn keeps(&self, name: &ImageRef, digest: &Digest) -> bool {
        self.digests.contains(digest) || self.names.contains(name)
    }
}

/// Asks for the images in use. The engine asks while no image can come or go, so that what is made ready in between is
/// not taken for unused; the answer must not wait for the engine.
pub type AskInUse = Arc<dyn Fn() -> InUse + Send + Sync>;

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forget {
    Name(ImageRef),
    /// An image with all of its names.
    Digest(Digest),
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    pub bytes: u64,
    /// By name; one without a name by the beginning of its digest.
    pub images: Vec<String>,
    /// Bytes that are taken above the budget all the same.
    pub over: u64,
}
