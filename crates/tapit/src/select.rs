//! Which app and which server a command line is about: pure rules over the surroundings, and the search for
//! `.tapit.toml`. The last resort, "the only app there is", needs the server and is in `commands`.

use std::path::{Path, PathBuf};

use tapit_model::{AppName, Refusal};

use crate::surroundings::Surroundings;

/// Small on purpose: the file holds one line.
const MAX_FILE: u64 = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is longer than {MAX_FILE} bytes; it should hold one line such as app = \"shop\"")]
    TooLong { path: PathBuf },
    #[error("{path} is not what tapit expects; it should hold one line such as app = \"shop\"")]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("{origin} names no app")]
    Name { origin: String, source: tapit_model::NameError },
    #[error("neither HOME nor XDG_DATA_HOME is set; give TAPIT_BASEURL or TAPIT_DATA_DIR")]
    NoHome,
}

impl From<SelectError> for Refusal {
    fn from(error: SelectError) -> Self {
        Refusal::usage(tapit_model::describe(&error))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    app: Option<String>,
}

/// The app that was named, in order: on the command line, in `TAPIT_APP`, in the nearest `.tapit.toml`.
pub fn app(typed: Option<&AppName>, surroundings: &Surroundings) -> Result<Option<AppName>, SelectError> {
    if let Some(app) = typed {
        return Ok(Some(app.clone()));
    }
    if let Some(name) = surroundings.variable("TAPIT_APP") {
        return parse(name, "TAPIT_APP").map(Some);
    }
    for directory in surroundings.directory.ancestors() {
        let path = directory.join(".tapit.toml");
        if let Some(name) = app_in(&path)? {
            return parse(&name, &path.display().to_string()).map(Some);
        }
    }
    Ok(None)
}

fn parse(name: &str, origin: &str) -> Result<AppName, SelectError> {
    AppName::parse(name).map_err(|source| SelectError::Name { origin: origin.to_owned(), source })
}

fn app_in(path: &Path) -> Result<Option<String>, SelectError> {
    use std::io::Read;
    let wrong = |source| SelectError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        // A parent directory that may not be searched is none of the user's business here.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(wrong(error)),
    };
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(wrong)?;
    if read as u64 > MAX_FILE {
        return Err(SelectError::TooLong { path: path.to_owned() });
    }
    let file: File = toml::from_str(&text).map_err(|source| SelectError::Parse { path: path.to_owned(), source })?;
    Ok(file.app)
}

/// The data directory of the local server: `TAPIT_DATA_DIR`, else the user's own.
pub fn data_dir(surroundings: &Surroundings) -> Result<PathBuf, SelectError> {
    if let Some(dir) = surroundings.variable("TAPIT_DATA_DIR") {
        return Ok(surroundings.directory.join(dir));
    }
    if surroundings.root {
        return Ok(PathBuf::from("/var/lib/tapit"));
    }
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| surroundings.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("tapit"))
        .ok_or(SelectError::NoHome)
}

/// The address of the server, as text that [`crate::client::Address::parse`] reads.
pub fn server(surroundings: &Surroundings) -> Result<String, SelectError> {
    match surroundings.variable("TAPIT_BASEURL") {
        Some(url) => Ok(url.to_owned()),
        None => Ok(format!("unix://{}", data_dir(surroundings)?.join("tapit.sock").display())),
    }
}
