//! Images that are held: where one came from, and how somebody says which one is meant.

use serde::{Deserialize, Serialize};

use crate::{ImageError, ImageRef};

/// How an image came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageOrigin {
    Import,
    Pull,
    /// Imported as well, and by the builder that made it: it can be made again.
    Build,
}

impl ImageOrigin {
    pub const ALL: [ImageOrigin; 3] = [ImageOrigin::Import, ImageOrigin::Pull, ImageOrigin::Build];

    pub fn as_str(self) -> &'static str {
        match self {
            ImageOrigin::Import => "import",
            ImageOrigin::Pull => "pull",
            ImageOrigin::Build => "build",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == text)
    }

    /// It was brought here by hand: it is used as it is, and no registry is asked for it.
    pub fn is_local(self) -> bool {
        match self {
            ImageOrigin::Import | ImageOrigin::Build => true,
            ImageOrigin::Pull => false,
        }
    }
}

/// How much of what is held is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneExtent {
    /// Everything that is not in use.
    Unused,
    /// What is not in use, until no more bytes than these are taken. An image that was imported by hand stays as long as
    /// a name stands for it: nobody but its user can bring it again.
    Budget(u64),
}

/// Fewer digits would be no more than a guess.
const LEAST_DIGITS: usize = 4;
const ALL_DIGITS: usize = 64;

/// A held image as it is asked for: by a name, by its digest, or by the beginning of that. Some words are both, `cafe`
/// for example; a name is looked for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageKey {
    name: Option<ImageRef>,
    digits: Option<String>,
}

impl ImageKey {
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let marked = text.strip_prefix("sha256:");
        let hex = marked.unwrap_or(text);
        let legal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_hex = (LEAST_DIGITS..=ALL_DIGITS).contains(&hex.len()) && hex.bytes().all(legal);
        let digits = is_hex.then(|| hex.to_owned());
        let name = match (&digits, marked) {
            (Some(_), Some(_)) => None,
            // Neither a digest nor its beginning: as a name it would be one that nobody means.
            (None, Some(_)) => return Err(ImageError { value: text.chars().take(300).collect() }),
            (Some(_), None) => ImageRef::parse(text).ok(),
            (None, None) => Some(ImageRef::parse(text)?),
        };
        Ok(Self { name, digits })
    }

    /// The name that it may be.
    pub fn name(&self) -> Option<&ImageRef> {
        self.name.as_ref()
    }

    /// Whether a digest (`sha256:HEX`) is meant or begins so.
    pub fn begins(&self, digest: &str) -> bool {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
        self.digits.as_ref().is_some_and(|digits| hex.starts_with(digits.as_str()))
    }
}

impl From<ImageRef> for ImageKey {
    fn from(name: ImageRef) -> Self {
        Self { name: Some(name), digits: None }
    }
}

impl std::fmt::Display for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.digits, &self.name) {
            (Some(digits), _) => f.write_str(digits),
            (None, Some(name)) => name.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_asked_for_by_name_by_digest_or_by_its_beginning() {
        let digest = format!("sha256:{}", "0a1b".repeat(16));
        for text in [&digest, &digest["sha256:".len()..], "0a1b0a1b0a1b", "0a1b", "sha256:0a1b0"] {
            let key = ImageKey::parse(text).expect(text);
            assert!(key.begins(&digest), "{text}");
            assert_eq!(key.to_string(), text.trim_start_matches("sha256:"));
        }
        assert_eq!(ImageKey::parse(&digest).expect("digest").name(), None);
        let both = ImageKey::parse("cafe").expect("both");
        assert_eq!(both.name().map(ToString::to_string).as_deref(), Some("cafe:latest"));
        assert!(both.begins(&format!("sha256:cafe{}", "0".repeat(60))));
        let name = ImageKey::parse("shop/web:v1").expect("name");
        assert_eq!((name.to_string().as_str(), name.begins(&digest)), ("shop/web:v1", false));
        assert!(!ImageKey::parse("0a1c").expect("digits").begins(&digest));
        for bad in ["", "UP", "..", "sha256:", "sha256:0a1", "sha256:zzzzzz", "a b"] {
            assert!(ImageKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_told_in_one_word_each() {
        for origin in ImageOrigin::ALL {
            assert_eq!(ImageOrigin::parse(origin.as_str()), Some(origin));
            assert_eq!(serde_json::to_value(origin).expect("json"), origin.as_str());
        }
        assert_eq!(ImageOrigin::parse("push"), None);
    }
}
