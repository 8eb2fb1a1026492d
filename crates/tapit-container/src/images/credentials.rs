//! The user name and password for a registry, from the file that `docker login` writes.
//!
//! Only what stands in the file itself is read; credential helpers are programs of their own and are not started.

use std::collections::HashMap;
use std::path::PathBuf;

use base64::Engine as _;
use serde::Deserialize;

use super::disk;

const MAX_FILE: u64 = 1 << 20;
/// What Docker Hub is called in the file.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

/// The login for a registry, if there is one. A file that is missing or cannot be read means none: the registry's own
/// refusal then says what is needed.
pub fn find(registry: &str) -> Option<Login> {
    let directory = match std::env::var_os("DOCKER_CONFIG") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".docker"),
    };
    pick(&disk::read(&directory.join("config.json"), MAX_FILE).ok()?, registry)
}

fn pick(file: &[u8], registry: &str) -> Option<Login> {
    let file: File = serde_json::from_slice(file).ok()?;
    let keys = match registry {
        "docker.io" => vec![HUB.to_owned(), registry.to_owned()],
        other => vec![other.to_owned(), format!("https://{other}"), format!("https://{other}/v2/")],
    };
    let entry = keys.iter().find_map(|key| file.auths.get(key))?;
    let text = base64::engine::general_purpose::STANDARD.decode(&entry.auth).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_a_registry_is_found() {
        // user:pa:ss
        let file = br#"{"auths":{"ghcr.io":{"auth":"dXNlcjpwYTpzcw=="},"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},
            "helper.example":{}},"credsStore":"x"}"#;
        let login = Some(Login { user: "user".to_owned(), password: "pa:ss".to_owned() });
        assert_eq!(pick(file, "ghcr.io"), login);
        assert_eq!(pick(file, "docker.io"), login);
        assert_eq!(pick(file, "helper.example"), None);
        assert_eq!(pick(file, "other.example"), None);
        assert_eq!(pick(b"{", "ghcr.io"), None);
    }
}
