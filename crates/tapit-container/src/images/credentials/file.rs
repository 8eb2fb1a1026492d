//! What `config.json` of Docker says about logins. Pure.

use std::collections::HashMap;

use base64::Engine as _;
use serde::Deserialize;

use super::{Secret, server_address};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

/// Where the login for a registry is.
#[derive(PartialEq, Eq)]
pub enum Place {
    Nowhere,
    Entry(Secret),
    /// In the keeping of `docker-credential-NAME`.
    Helper(String),
    /// An entry that holds no login that can be read.
    Broken,
}

impl File {
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub fn place(&self, registry: &str) -> Place {
        let keys = spellings(registry);
        let named = keys.iter().find_map(|key| self.cred_helpers.get(key));
        if let Some(helper) = named.filter(|name| !name.is_empty()) {
            return Place::Helper(helper.clone());
        }
        // With a store, the entries are there but empty.
        let entry = keys.iter().find_map(|key| self.auths.get(key)).filter(|entry| !entry.is_empty());
        if let Some(entry) = entry {
            return entry.secret().map_or(Place::Broken, Place::Entry);
        }
        match self.creds_store.as_deref() {
            None | Some("") => Place::Nowhere,
            Some(store) => Place::Helper(store.to_owned()),
        }
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.password, &self.identitytoken].into_iter().all(String::is_empty)
    }

    fn secret(&self) -> Option<Secret> {
        if !self.identitytoken.is_empty() {
            return Some(Secret::IdentityToken(self.identitytoken.clone()));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            // A login is sent as USER:PASSWORD, in which such a user would be another one.
            return Some(Secret::Password { user, password }).filter(|_| !self.username.contains(':'));
        }
        let text = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Secret::Password { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() })
    }
}

/// The keys that a registry's login may stand under.
fn spellings(registry: &str) -> Vec<String> {
    let mut keys = vec![registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/")];
    keys.extend(["v1/", "v2/", "v2"].map(|version| format!("https://{registry}/{version}")));
    let server = server_address(registry);
    if server != registry {
        keys.insert(0, server.to_owned());
        keys.extend(["index.docker.io", "docker.io"].map(str::to_owned));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, registry: &str) -> Place {
        File::parse(file.as_bytes()).expect("a file").place(registry)
    }

    fn password(user: &str, password: &str) -> Place {
        Place::Entry(Secret::Password { user: user.to_owned(), password: password.to_owned() })
    }

    // user:pa:ss
    const FILE: &str = r#"{
        "auths": {
            "ghcr.io": {"auth": "dXNlcjpwYTpzcw=="},
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "https://old.example/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "kept.example": {},
            "plain.example": {"username": "ann", "password": "x"},
            "token.example": {"auth": "MDAwOg==", "identitytoken": "abc"},
            "broken.example": {"auth": "%"},
            "colon.example": {"username": "a:b", "password": "x"},
            "both.example": {"auth": "dXNlcjpwYTpzcw=="}
        },
        "credsStore": "pass",
        "credHelpers": {"aws.example": "ecr-login", "both.example": "gcr"},
        "HttpHeaders": {"x": "y"}
    }"#;

    #[test]
    fn the_login_of_a_registry_is_found() {
        for (registry, expected) in [
            ("ghcr.io", password("user", "pa:ss")),
            ("docker.io", password("user", "pa:ss")),
            ("old.example", password("user", "pa:ss")),
            ("plain.example", password("ann", "x")),
            ("token.example", Place::Entry(Secret::IdentityToken("abc".to_owned()))),
            ("broken.example", Place::Broken),
            ("colon.example", Place::Broken),
            ("aws.example", Place::Helper("ecr-login".to_owned())),
            ("both.example", Place::Helper("gcr".to_owned())),
            ("kept.example", Place::Helper("pass".to_owned())),
            ("other.example", Place::Helper("pass".to_owned())),
        ] {
            assert!(place(FILE, registry) == expected, "{registry}");
        }
        assert!(place("{}", "ghcr.io") == Place::Nowhere);
        assert!(place(r#"{"credsStore": ""}"#, "ghcr.io") == Place::Nowhere);
        assert!(File::parse(b"{").is_err());
    }
}
