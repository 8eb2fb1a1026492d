//! Image references as Docker users write them, and digests.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} is not an image reference; write NAME, NAME:TAG or REGISTRY/NAME:TAG in lower case, for example myapp/api:v2.1.0"
)]
pub struct ImageError {
    pub value: String,
}

/// A normalised image reference: `registry/repository:tag` or `registry/repository@digest`.
///
/// `nginx` means `docker.io/library/nginx:latest`. Printed in the short form that users know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

const DOCKER: &str = "docker.io";

impl ImageRef {
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        Self::split(text).ok_or_else(|| ImageError { value: text.chars().take(300).collect() })
    }

    fn split(text: &str) -> Option<Self> {
        if text.len() > 512 {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag {
            let first = tag.bytes().next()?;
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if tag.len() > 128 || !word(first) || !tag.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
                return None;
            }
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => (DOCKER, name.to_owned()),
            None => (DOCKER, format!("library/{name}")),
        };
        let component = |c: &str| {
            let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let bytes = c.as_bytes();
            !bytes.is_empty()
                && legal(bytes[0])
                && legal(bytes[bytes.len() - 1])
                && bytes.iter().all(|b| legal(*b) || matches!(b, b'.' | b'_' | b'-'))
        };
        let host = |h: &str| {
            h.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                && h.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-'))
        };
        if name.is_empty() || !host(registry) || repository.len() > 255 || !repository.split('/').all(component) {
            return None;
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Some(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl std::fmt::Display for ImageRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.registry == DOCKER {
            f.write_str(self.repository.strip_prefix("library/").unwrap_or(&self.repository))?;
        } else {
            write!(f, "{}/{}", self.registry, self.repository)?;
        }
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ImageError;
    fn try_from(text: String) -> Result<Self, ImageError> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> String {
        image.to_string()
    }
}

/// `sha256:` and 64 lower-case hex digits. Safe as a path component once the colon is replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let legal = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        legal.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// Twelve hex digits, for tables.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a sha256 digest"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        for (text, registry, repository, shown) in [
            ("nginx", "docker.io", "library/nginx", "nginx:latest"),
            ("myapp/auth:latest", "docker.io", "myapp/auth", "myapp/auth:latest"),
            ("ghcr.io/a/b:tag", "ghcr.io", "a/b", "ghcr.io/a/b:tag"),
            ("127.0.0.1:5000/x:v1", "127.0.0.1:5000", "x", "127.0.0.1:5000/x:v1"),
            ("localhost/x", "localhost", "x", "localhost/x:latest"),
            ("docker.io/library/nginx", "docker.io", "library/nginx", "nginx:latest"),
        ] {
            let image = ImageRef::parse(text).expect(text);
            assert_eq!(
                (image.registry(), image.repository(), image.to_string().as_str()),
                (registry, repository, shown)
            );
        }
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        assert_eq!(ImageRef::parse(&digest).expect("digest").to_string(), digest);
        for bad in
            ["", ":v1", "UPPER", "a//b", "a:", "a:b c", "../x", "a/../b", "a@sha256:12", "a;b", "-a", "http://x/y"]
        {
            assert!(ImageRef::parse(bad).is_err(), "{bad}");
        }
    }
}
