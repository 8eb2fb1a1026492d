//! What an engine can fail at.

use tapit_model::{ImageRef, ProcessKey};

/// Why an image could not be had. The code decides whether trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFault {
    /// Neither held here nor known to its registry.
    NotFound,
    /// The registry did not answer, or answered nonsense.
    Unreachable,
    /// The registry wants credentials, or refuses them.
    Denied,
    /// The image itself is broken, hostile, or for another platform.
    Invalid,
    /// Something in use would be lost.
    InUse,
    /// This host failed: disk full, I/O error.
    Host,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("image {image}: {text}")]
    // Boxed, so that results that hardly ever hold it stay small.
    Image { image: Box<ImageRef>, fault: ImageFault, text: String },
    #[error("{text}")]
    Archive { text: String },
    #[error("process {0} is not known to the engine")]
    UnknownProcess(ProcessKey),
    #[error("the engine has no instance {0}")]
    UnknownInstance(String),
    #[error("the instance {0} does not run")]
    NotRunning(String),
    #[error("{0:?} is no position in a log of this engine")]
    UnknownPosition(String),
    /// What this engine cannot do at all: `why` is a sentence, perhaps with what to do instead.
    #[error("{what} is not possible here: {why}")]
    Unsupported { what: &'static str, why: &'static str },
    /// An act on this host or on an API failed; the act names the thing.
    #[error("{act}")]
    Act {
        act: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EngineError {
    pub fn act(act: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Act { act: act.into(), source: source.into() }
    }
}
