//! What images can fail at: opening the store, and a fault of one image that is told to everybody who waits for it.

use std::io;
use std::path::{Path, PathBuf};

use tapit_engine::{EngineError, ImageFault};
use tapit_model::{ImageRef, describe};

/// What opening the store can fail at.
#[derive(Debug, thiserror::Error)]
pub enum ImageStoreError {
    #[error("make the image directory {path}")]
    Create { path: PathBuf, source: io::Error },
    #[error("read the names of the images from {path}")]
    Names { path: PathBuf, source: io::Error },
    #[error("read the settings of registries from {path}")]
    Registries { path: PathBuf, source: io::Error },
    #[error("remove what was left half done of the images")]
    Leftovers(#[source] io::Error),
    #[error("read the unpacked layers of the images")]
    Layers(#[source] io::Error),
}

/// Why an image could not be had. It can be cloned, because callers that share the work share its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub fault: ImageFault,
    /// One sentence, without the image's name.
    pub text: String,
}

impl Fault {
    pub fn new(fault: ImageFault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into() }
    }

    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(ImageFault::Invalid, text)
    }

    pub fn host(act: &str, error: &dyn std::error::Error) -> Self {
        Self::new(ImageFault::Host, format!("{act}: {}", describe(error)))
    }

    pub fn host_at(act: &str, path: &Path, error: &dyn std::error::Error) -> Self {
        Self::new(ImageFault::Host, format!("{act} {}: {}", path.display(), describe(error)))
    }

    pub fn about(self, image: &ImageRef) -> EngineError {
        EngineError::Image { image: Box::new(image.clone()), fault: self.fault, text: self.text }
    }

    /// For acts that concern no image by name.
    pub fn nameless(self) -> EngineError {
        EngineError::act("look after the images", self.text)
    }
}
