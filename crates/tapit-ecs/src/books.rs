//! The engine's own files: what was made in the account, so that a server that dies goes on where it was.
//!
//! One file for each app and one for what all apps share, below `DATA/ecs`. Each is written beside itself and renamed; the
//! disk is waited for only where a later server must know of it. Everything here blocks on the disk. A file that cannot be
//! understood is set aside, and its app is looked at anew: the account itself holds nearly all of it.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tapit_model::AppName;

use crate::account::AccountBook;
use crate::record::AppRecord;

#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error("preparing {}", path.display())]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("setting {} aside", path.display())]
    SetAside { path: PathBuf, source: std::io::Error },
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("removing {}", path.display())]
    Remove { path: PathBuf, source: std::io::Error },
}

/// How long a file that was written is sure to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lasts {
    /// It survives the server.
    Server,
    /// It survives the machine: what is about to be done must not be done twice.
    Machine,
}

pub struct Books {
    dir: PathBuf,
}

const SUFFIX: &str = ".json";

impl Books {
    pub fn open(data_dir: &Path) -> Result<Self, BooksError> {
        let books = Self { dir: data_dir.join("ecs") };
        let apps = books.apps_dir();
        std::fs::create_dir_all(&apps).map_err(|source| BooksError::Prepare { path: apps, source })?;
        Ok(books)
    }

    /// The apps that there is a file of.
    pub fn apps(&self) -> Result<Vec<AppName>, BooksError> {
        let path = self.apps_dir();
        let listed = || -> std::io::Result<Vec<AppName>> {
            let mut apps = Vec::new();
            for entry in std::fs::read_dir(&path)? {
                let name = entry?.file_name();
                let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
                apps.extend(name.and_then(|name| AppName::parse(name).ok()));
            }
            Ok(apps)
        };
        listed().map_err(|source| BooksError::Read { path: path.clone(), source })
    }

    pub fn read_app(&self, app: &AppName) -> Result<Option<AppRecord>, BooksError> {
        read(&self.app_path(app))
    }

    pub fn write_app(&self, app: &AppName, record: &AppRecord, lasts: Lasts) -> Result<(), BooksError> {
        write(&self.app_path(app), record, lasts)
    }

    pub fn remove_app(&self, app: &AppName) -> Result<(), BooksError> {
        remove(&self.app_path(app))
    }

    pub fn read_account(&self) -> Result<Option<AccountBook>, BooksError> {
        read(&self.account_path())
    }

    pub fn write_account(&self, account: &AccountBook) -> Result<(), BooksError> {
        write(&self.account_path(), account, Lasts::Machine)
    }

    pub fn remove_account(&self) -> Result<(), BooksError> {
        remove(&self.account_path())
    }

    fn apps_dir(&self) -> PathBuf {
        self.dir.join("apps")
    }

    fn app_path(&self, app: &AppName) -> PathBuf {
        self.apps_dir().join(format!("{app}{SUFFIX}"))
    }

    fn account_path(&self) -> PathBuf {
        self.dir.join(format!("account{SUFFIX}"))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, BooksError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BooksError::Read { path: path.to_owned(), source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let aside = path.with_extension("damaged");
            tracing::warn!(
                file = %path.display(), aside = %aside.display(), %error,
                "a file of the engine cannot be understood; it is set aside, and the account is looked at anew"
            );
            std::fs::rename(path, aside).map_err(|source| BooksError::SetAside { path: path.to_owned(), source })?;
            Ok(None)
        }
    }
}

fn write<T: Serialize>(path: &Path, value: &T, lasts: Lasts) -> Result<(), BooksError> {
    let written = || -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        if lasts == Lasts::Machine {
            file.as_file().sync_all()?;
        }
        file.persist(path)?;
        if lasts == Lasts::Machine {
            std::fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    written().map_err(|source| BooksError::Write { path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), BooksError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(BooksError::Remove { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Made;

    fn app() -> AppName {
        AppName::parse("shop").expect("legal")
    }

    #[test]
    fn what_was_written_is_read_again_and_listed_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let books = Books::open(dir.path()).expect("opens");
        assert_eq!(books.read_app(&app()).expect("reads"), None);
        let record = AppRecord { cluster: Made::Yes, ..AppRecord::default() };
        for lasts in [Lasts::Server, Lasts::Machine] {
            books.write_app(&app(), &record, lasts).expect("writes");
        }
        assert_eq!(Books::open(dir.path()).expect("opens").read_app(&app()).expect("reads"), Some(record));
        assert_eq!(books.apps().expect("lists"), [app()]);
        books.remove_app(&app()).expect("removes");
        books.remove_app(&app()).expect("removes what is not there");
        assert_eq!(books.apps().expect("lists"), []);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_counts_as_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let books = Books::open(dir.path()).expect("opens");
        std::fs::write(dir.path().join("ecs/apps/shop.json"), "{\"cluster\":").expect("writes");
        assert_eq!(books.read_app(&app()).expect("reads"), None);
        assert!(dir.path().join("ecs/apps/shop.damaged").exists());
        assert_eq!(books.apps().expect("lists"), [], "neither the file nor what it was set aside as");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let books = Books::open(dir.path()).expect("opens");
        std::fs::remove_dir_all(dir.path().join("ecs")).expect("removes");
        let error = books.write_app(&app(), &AppRecord::default(), Lasts::Server).expect_err("no directory");
        assert!(error.to_string().ends_with("shop.json"), "{error}");
    }
}
