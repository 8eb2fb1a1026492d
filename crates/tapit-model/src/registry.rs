//! What the server knows of a registry: how to log in, what stands in for it, whether plain HTTP is allowed.

use serde::{Deserialize, Serialize};

use crate::patch::{Words, boolean};
use crate::{Refusal, nearest};

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
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
        if !is_host(host) || !port.is_none_or(is_port) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }

    /// As users type it: in any case, and Docker Hub by any of its names.
    pub fn typed(text: &str) -> Result<Self, RegistryError> {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" => Self::parse("docker.io"),
            other => Self::parse(other).map_err(|_| RegistryError { value: text.chars().take(300).collect() }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name, or an address; one of IPv6 in brackets and in its shortest form, so that a registry has one name.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let shortest = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.to_string() == text);
        return inner.strip_suffix(']').is_some_and(shortest);
    }
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = host.as_bytes();
    host.len() <= 253 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| legal(*b))
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

/// What is to be changed of a registry's settings; an empty value clears.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryPatch {
    username: Option<String>,
    password: Option<String>,
    mirrors: Option<Vec<RegistryName>>,
    plain_http: Option<bool>,
}

/// Never shows the password.
impl std::fmt::Debug for RegistryPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { username, password, mirrors, plain_http } = self;
        f.debug_struct("RegistryPatch")
            .field("username", username)
            .field("password", &password.as_ref().map(|_| "hidden"))
            .field("mirrors", mirrors)
            .field("plain_http", plain_http)
            .finish()
    }
}

pub const REGISTRY_KEYS: [&str; 4] = ["username", "password", "mirror", "plain_http"];
/// More mirrors than anybody has.
const MAX_MIRRORS: usize = 8;
/// Tokens are long, but not longer.
const MAX_SECRET: usize = 32 << 10;

impl RegistryPatch {
    pub fn parse(words: &Words) -> Result<Self, Refusal> {
        let legal = REGISTRY_KEYS.join(", ");
        let mut patch = Self::default();
        for (key, value) in words {
            match key.as_str() {
                "username" => patch.username = Some(secret(key, value)?),
                "password" => patch.password = Some(secret(key, value)?),
                "mirror" => patch.mirrors = Some(mirrors(value)?),
                "plain_http" if value.is_empty() => patch.plain_http = Some(false),
                "plain_http" => {
                    let wrong = || format!("plain_http={value} is not legal; give true or false (yes/no, on/off, 1/0)");
                    patch.plain_http = Some(boolean(value).ok_or_else(|| Refusal::usage(wrong()))?);
                }
                _ => {
                    let guess = nearest(key, REGISTRY_KEYS);
                    let guess = guess.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
                    return Err(Refusal::usage(format!(
                        "a registry has no key {key:?}; {guess}legal keys are {legal}"
                    )));
                }
            }
        }
        if patch == Self::default() {
            return Err(Refusal::usage(format!("set registry needs something to change; legal keys are {legal}")));
        }
        Ok(patch)
    }

    /// The settings with this change in them.
    pub fn apply(&self, name: &RegistryName, before: &RegistrySettings) -> Result<RegistrySettings, Refusal> {
        let (mirrors, plain_http) = (self.mirrors.clone(), self.plain_http);
        if mirrors.as_ref().is_some_and(|mirrors| mirrors.contains(name)) {
            return Err(Refusal::usage(format!("{name} cannot be a mirror of itself")));
        }
        Ok(RegistrySettings {
            login: self.login(name, before.login.clone())?,
            mirrors: mirrors.unwrap_or_else(|| before.mirrors.clone()),
            plain_http: plain_http.unwrap_or(before.plain_http),
        })
    }

    fn login(&self, name: &RegistryName, before: Option<RegistryLogin>) -> Result<Option<RegistryLogin>, Refusal> {
        let cleared = |value: &Option<String>| value.as_deref() == Some("");
        if cleared(&self.username) || cleared(&self.password) {
            let other = [&self.username, &self.password].into_iter().flatten().find(|value| !value.is_empty());
            return match other {
                None => Ok(None),
                Some(_) => Err(Refusal::usage("username and password are set together, or cleared together")),
            };
        }
        let (before_name, before_password) = match before {
            Some(RegistryLogin { username, password }) => (Some(username), Some(password)),
            None => (None, None),
        };
        match (self.username.clone().or(before_name), self.password.clone().or(before_password)) {
            (Some(username), Some(password)) => Ok(Some(RegistryLogin { username, password })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                let text = format!("a login for {name} needs a password as well: password=- reads it from the input");
                Err(Refusal::usage(text))
            }
            (None, Some(_)) => {
                Err(Refusal::usage(format!("a login for {name} needs a username as well: username=USER")))
            }
        }
    }

    /// Whether a login is changed.
    pub fn is_about_login(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// The keys that are changed.
    pub fn keys(&self) -> Vec<&'static str> {
        let Self { username, password, mirrors, plain_http } = self;
        let given = [username.is_some(), password.is_some(), mirrors.is_some(), plain_http.is_some()];
        REGISTRY_KEYS.into_iter().zip(given).filter_map(|(key, given)| given.then_some(key)).collect()
    }
}

/// It becomes part of a header.
fn secret(key: &str, value: &str) -> Result<String, Refusal> {
    if value.len() > MAX_SECRET || value.chars().any(char::is_control) {
        return Err(Refusal::usage(format!("{key} is longer than {MAX_SECRET} bytes, or holds control characters")));
    }
    if key == "username" && value.contains(':') {
        return Err(Refusal::usage("a username cannot hold a colon"));
    }
    Ok(value.to_owned())
}

fn mirrors(value: &str) -> Result<Vec<RegistryName>, Refusal> {
    let names: Result<Vec<_>, _> = value.split(',').filter(|name| !name.is_empty()).map(RegistryName::parse).collect();
    let names = names.map_err(|error| Refusal::usage(error.to_string()))?;
    if names.len() > MAX_MIRRORS {
        return Err(Refusal::usage(format!("{} mirrors are too many; at most {MAX_MIRRORS} are asked", names.len())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(words: &[(&str, &str)]) -> Result<RegistryPatch, String> {
        let words = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        RegistryPatch::parse(&words).map_err(|refusal| refusal.message)
    }

    /// The settings after one change after another.
    fn after(changes: &[&[(&str, &str)]]) -> Result<RegistrySettings, String> {
        let name = RegistryName::parse("r.example").expect("a name");
        changes.iter().try_fold(RegistrySettings::default(), |before, words| {
            patch(words)?.apply(&name, &before).map_err(|refusal| refusal.message)
        })
    }

    #[test]
    fn settings_change_key_by_key_and_an_empty_value_clears() {
        let login = |username: &str, password: &str| {
            Some(RegistryLogin { username: username.to_owned(), password: password.to_owned() })
        };
        let first: &[_] = &[("username", "ann"), ("password", "x"), ("mirror", "a.example,b.example:5000")];
        let settings = after(&[first]).expect("set");
        assert_eq!((settings.login.clone(), settings.plain_http), (login("ann", "x"), false));
        assert_eq!(
            settings.mirrors.iter().map(RegistryName::as_str).collect::<Vec<_>>(),
            ["a.example", "b.example:5000"]
        );
        let settings = after(&[first, &[("password", "y")], &[("plain_http", "yes"), ("mirror", "")]]).expect("set");
        assert_eq!((settings.login, settings.mirrors.len(), settings.plain_http), (login("ann", "y"), 0, true));
        let settings = after(&[first, &[("username", ""), ("plain_http", "")]]).expect("set");
        assert_eq!((settings.login, settings.mirrors.len()), (None, 2));
    }

    #[test]
    fn what_cannot_be_set_is_told() {
        for (words, part) in [
            (&[][..], "needs something to change; legal keys are username, password, mirror, plain_http"),
            (&[("user", "ann")], "no key \"user\""),
            (&[("usernam", "ann")], "did you mean username?"),
            (&[("username", "ann")], "needs a password as well"),
            (&[("password", "x")], "needs a username as well"),
            (&[("username", "ann"), ("password", "")], "cleared together"),
            (&[("username", "a:b"), ("password", "x")], "colon"),
            (&[("username", "a\r\nX: y"), ("password", "x")], "control characters"),
            (&[("plain_http", "perhaps")], "true or false"),
            (&[("mirror", "https://a.example")], "is not a registry"),
            (&[("mirror", "r.example")], "mirror of itself"),
        ] {
            let text = after(&[words]).expect_err(part);
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_registry_is_a_host_and_perhaps_a_port() {
        for good in
            ["docker.io", "ghcr.io", "127.0.0.1:5000", "localhost", "r-1.example.com:65535", "[::1]", "[fe80::1]:5000"]
        {
            assert_eq!(RegistryName::parse(good).expect(good).as_str(), good);
        }
        for bad in [
            "",
            "https://ghcr.io",
            "ghcr.io/a",
            "a:0",
            "a:65536",
            "a:b",
            ":5000",
            "-a",
            "a.",
            "A.io",
            "a b",
            "a:",
            "::1",
            "[::1",
            "[0:0::1]",
            "[FE80::1]",
            "[::1]x",
            "[::1]:0",
            "[x]",
            "[]",
            "a]",
        ] {
            assert!(RegistryName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_registry_may_be_typed_in_other_ways() {
        for (typed, name) in
            [("GHCR.io", "ghcr.io"), (" index.docker.io", "docker.io"), ("hub.docker.com", "docker.io")]
        {
            assert_eq!(RegistryName::typed(typed).expect(typed).as_str(), name);
        }
        assert_eq!(RegistryName::typed("https://X").expect_err("wrong").value, "https://X");
    }

    #[test]
    fn a_password_is_never_printed() {
        let login = RegistryLogin { username: "ann".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{login:?}").contains("secret"));
        let patch = patch(&[("username", "ann"), ("password", "secret")]).expect("a change");
        assert!(!format!("{patch:?}").contains("secret"));
    }
}
