//! The login for a registry: what was set for it here, or what `docker login` left behind for the server's user.
//!
//! Asked only when a registry wants a login, so that a broken file or helper harms nothing that is public. Docker's
//! order is kept: the helper named for the registry, the file's own entry, the store for all registries.

pub(super) mod file;
mod helper;

use std::path::PathBuf;

use tapit_engine::ImageFault;
use tapit_model::RegistryLogin;

use super::disk;
use super::error::Fault;
use file::{File, Place};

const MAX_FILE: u64 = 1 << 20;

#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Password {
        user: String,
        password: String,
    },
    /// Exchanged for short-lived tokens at the registry's token service.
    IdentityToken(String),
}

/// A login, and where it is from, so that a refusal can say which one to mend.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub secret: Secret,
    pub origin: Origin,
}

/// Where a login is from, in words that follow on "the login".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Kept on this host, where it can be replaced.
    Kept(String),
    /// Handed in for one act, by somebody who got it for that; nobody keeps it.
    Given(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Kept(text) | Origin::Given(text) => f.write_str(text),
        }
    }
}

/// Never shows the secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl From<&RegistryLogin> for Login {
    fn from(set: &RegistryLogin) -> Self {
        let origin = Origin::Kept(format!("of {:?} from `tapit set registry`", set.username));
        Self { secret: Secret::of(set), origin }
    }
}

impl Login {
    /// One that was got for this act.
    pub fn given(given: &RegistryLogin) -> Self {
        let origin = Origin::Given(format!("of {:?} that it was given", given.username));
        Self { secret: Secret::of(given), origin }
    }
}

impl Secret {
    fn of(login: &RegistryLogin) -> Self {
        Secret::Password { user: login.username.clone(), password: login.password.clone() }
    }
}

/// Where Docker keeps its logins.
#[derive(Debug, Clone, Default)]
pub struct Docker {
    /// `config.json`; `None` where this user has no home.
    pub file: Option<PathBuf>,
    /// Where helpers are looked for instead of the server's own `PATH`.
    pub path: Option<std::ffi::OsString>,
}

impl Docker {
    /// Of the user that the server runs as.
    pub fn here() -> Self {
        let directory = match std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()) {
            Some(directory) => Some(PathBuf::from(directory)),
            None => home().map(|home| home.join(".docker")),
        };
        Self { file: directory.map(|directory| directory.join("config.json")), path: None }
    }

    /// The login for a registry, if there is one.
    pub async fn find(&self, registry: &str) -> Result<Option<Login>, Fault> {
        let Some(path) = &self.file else { return Ok(None) };
        let bytes = match disk::read(path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(path, &error)),
        };
        let file = File::parse(&bytes).map_err(|error| unreadable(path, &error))?;
        match file.place(registry) {
            Place::Nowhere => Ok(None),
            Place::Entry(secret) => {
                Ok(Some(Login { secret, origin: Origin::Kept(format!("from {}", path.display())) }))
            }
            Place::Helper(name) => {
                let secret = helper::get(&name, registry, self).await?;
                let origin = Origin::Kept(format!("from docker-credential-{name}"));
                Ok(secret.map(|secret| Login { secret, origin }))
            }
            Place::Broken => Err(Fault::new(
                ImageFault::Denied,
                format!("the login for {registry} in {} cannot be read; log in again", path.display()),
            )),
        }
    }
}

/// A service of systemd has no `HOME`; its user still has one.
fn home() -> Option<PathBuf> {
    let set = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    set.or_else(|| Some(nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??.dir))
}

fn unreadable(path: &std::path::Path, error: &dyn std::error::Error) -> Fault {
    let error = tapit_model::describe(error);
    Fault::new(ImageFault::Denied, format!("a login is wanted, but {} cannot be read: {error}", path.display()))
}

/// Docker names its own registry by an old address.
fn server_address(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}
