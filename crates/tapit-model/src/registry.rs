//! What the server knows of a registry: how to log in, what stands in for it, whether plain HTTP is allowed.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a registry; write HOST or HOST:PORT, for example ghcr.io or registry.example.com:5000")]
pub struct RegistryError {
    pub value: String,
}

/// A registry as image references name it: `HOST` or `HOST:PORT`; Docker Hub is `docker.io`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryName(String);

impl RegistryName {
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = || RegistryError { value: text.chars().take(300).collect() };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = host.as_bytes();
        let is_host = host.len() <= 253 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| legal(*b));
        let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
        if !is_host || !port.is_none_or(is_port) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RegistryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for RegistryName {
    type Error = RegistryError;
    fn try_from(text: String) -> Result<Self, RegistryError> {
        Self::parse(&text)
    }
}

impl From<RegistryName> for String {
    fn from(name: RegistryName) -> String {
        name.0
    }
}

/// A user name and password, or a token as the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLogin {
    pub username: String,
    pub password: String,
}

/// Never shows the password.
impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What is set for one registry; all of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrySettings {
    pub login: Option<RegistryLogin>,
    /// Asked first, in this order; the registry itself when none of them has the image.
    #[serde(default)]
    pub mirrors: Vec<RegistryName>,
    /// Plain HTTP is allowed. Registries on this host's loopback need no permission.
    #[serde(default)]
    pub plain_http: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_and_perhaps_a_port() {
        for good in ["docker.io", "ghcr.io", "127.0.0.1:5000", "localhost", "r-1.example.com:65535"] {
            assert_eq!(RegistryName::parse(good).expect(good).as_str(), good);
        }
        for bad in
            ["", "https://ghcr.io", "ghcr.io/a", "a:0", "a:65536", "a:b", ":5000", "-a", "a.", "A.io", "a b", "a:"]
        {
            assert!(RegistryName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let login = RegistryLogin { username: "ann".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{login:?}").contains("secret"));
    }
}
