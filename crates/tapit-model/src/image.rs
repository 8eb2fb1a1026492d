//! Image references as Docker users write them, and digests.

use serde::{Deserialize, Serialize};

use crate::RegistryName;

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
/// As it was called once, and still is in some files.
const DOCKER_OLD: &str = "index.docker.io";
/// Where Docker Hub keeps images of one name.
const LIBRARY: &str = "library/";
/// Enough for the longest name of each part.
const MAX_TEXT: usize = 1024;

/// Whether the part before the first slash is a registry and not a user of Docker Hub.
fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part.eq_ignore_ascii_case("localhost")
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// One part of a repository, between slashes.
fn is_component(part: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| legal(*first) && legal(*last))
        && bytes.iter().all(|b| legal(*b) || matches!(b, b'.' | b'_' | b'-'))
}

impl ImageRef {
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        Self::split(text).ok_or_else(|| ImageError { value: text.chars().take(300).collect() })
    }

    fn split(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
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
        let (registry, path) = match name.split_once('/') {
            Some((host, rest)) if is_host(host) => (RegistryName::parse(&host.to_ascii_lowercase()).ok()?, rest),
            Some(_) | None => (RegistryName::parse(DOCKER).ok()?, name),
        };
        let registry = if DOCKER_OLD == registry.as_str() { DOCKER } else { registry.as_str() }.to_owned();
        let repository =
            if registry == DOCKER && !path.contains('/') { format!("{LIBRARY}{path}") } else { path.to_owned() };
        if !tag.is_none_or(is_tag) || repository.len() > 255 || !repository.split('/').all(is_component) {
            return None;
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Some(Self { registry, repository, tag, digest })
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
        // The short form only where it is read as the same again: `docker.io/a.b/c` would become an image of `a.b`.
        match (self.repository.strip_prefix(LIBRARY), self.repository.split_once('/')) {
            (Some(name), _) if self.registry == DOCKER && !name.contains('/') => f.write_str(name)?,
            (_, Some((first, _))) if self.registry == DOCKER && !is_host(first) => f.write_str(&self.repository)?,
            (_, Some(_) | None) => write!(f, "{}/{}", self.registry, self.repository)?,
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
            ("docker.io/nginx", "docker.io", "library/nginx", "nginx:latest"),
            ("index.docker.io/a/b", "docker.io", "a/b", "a/b:latest"),
            ("GHCR.io/a/b", "ghcr.io", "a/b", "ghcr.io/a/b:latest"),
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

    #[test]
    fn what_is_printed_is_read_as_the_same_image() {
        let long = "a".repeat(255);
        for text in [
            "library/a/b",
            "docker.io/library/a/b",
            "docker.io/a.b/c",
            "docker.io/localhost/x",
            "docker.io/library/localhost",
            "library/localhost/x:v1",
            "a.b:5000",
            &format!("{}.example:65535/{long}", "h".repeat(245)),
            &format!("{}.example/{long}:{}@sha256:{}", "h".repeat(245), "t".repeat(128), "0".repeat(64)),
        ] {
            let image = ImageRef::parse(text).expect(text);
            assert_eq!(ImageRef::parse(&image.to_string()), Ok(image), "{text}");
        }
        let image = ImageRef::parse("docker.io/a.b/c").expect("an image");
        assert_eq!((image.registry(), image.to_string().as_str()), ("docker.io", "docker.io/a.b/c:latest"));
    }

    #[test]
    fn a_registry_that_cannot_be_is_refused() {
        for bad in ["a:b/c", "a:/x", "a:5000:1/x", "a.:5000/x", "a.b:0/x", "a.b:65536/x", "a.b-/x", ".a/x"] {
            assert!(ImageRef::parse(bad).is_err(), "{bad}");
        }
    }
}
