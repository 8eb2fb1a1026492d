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

/// Of the text of a fault, in bytes: most of it may be what a hostile registry or image said.
pub const MAX_TEXT: usize = 2048;

impl Fault {
    pub fn new(fault: ImageFault, text: impl Into<String>) -> Self {
        Self { fault, text: presentable(text.into()) }
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

/// Without a terminal's commands, in one line, and no longer than anybody reads.
fn presentable(text: String) -> String {
    if text.len() <= MAX_TEXT && !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if shown.len() + c.len_utf8() > MAX_TEXT - '…'.len_utf8() {
            shown.push('…');
            break;
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hostile_image_says_reaches_the_user_short_and_without_commands_to_the_terminal() {
        let fault = Fault::invalid("of the type \u{1b}[2Jx\nreally\u{9b}");
        assert_eq!(fault.text, "of the type  [2Jx really ");
        let fault = Fault::invalid("ä".repeat(MAX_TEXT));
        assert!(fault.text.len() <= MAX_TEXT && fault.text.len() > MAX_TEXT - 8, "{}", fault.text.len());
        assert!(fault.text.ends_with('…'));
        assert_eq!(Fault::invalid("as it is: ä").text, "as it is: ä");
    }
}
