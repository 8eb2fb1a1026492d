//! The engine of a data directory: opened, and remembered there.
//!
//! A directory belongs to the engine that its apps were made with: the other one knows nothing of what runs, and would
//! leave it running, unseen and on ECS at a cost. What is remembered is also what `teardown` needs where no server runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapit_container::engine::{Embedded, EmbeddedConfig};
use tapit_engine::{EngineError, SharedEngine, Traffic};
use tapit_model::{EngineKind, MemoryMib, World};

use crate::config::{EngineChoice, HostSettings};

/// The program that the engine re-executes: this very one, also when the file on disk was replaced meanwhile.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
/// In the data directory.
pub const FILE: &str = "engine.json";

#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error(
        "{} holds apps of the {held} engine; start it with --engine {held}, give another --data-dir, or remove what is \
         there with tapit teardown", dir.display()
    )]
    Other { dir: PathBuf, held: EngineKind },
    #[cfg(not(feature = "ecs"))]
    #[error("{} is of the ecs engine, which this build does not have; build with --features ecs", dir.display())]
    Lacking { dir: PathBuf },
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    engine: EngineKind,
    #[cfg(feature = "ecs")]
    #[serde(default)]
    ecs: Option<tapit_ecs::EcsSettings>,
}

pub async fn open(
    choice: &EngineChoice,
    data_dir: &Path,
    traffic: Arc<dyn Traffic>,
) -> Result<SharedEngine, EngineError> {
    match choice {
        EngineChoice::Embedded(host) => {
            let config = EmbeddedConfig {
                data_dir: data_dir.to_owned(),
                exe: OWN_PROGRAM.into(),
                capacity: host.capacity,
                spares_memory: host.spares,
                reserve_memory: host.reserve,
                traffic,
            };
            Ok(Embedded::open(config).await?)
        }
        #[cfg(feature = "ecs")]
        EngineChoice::Ecs(settings) => ecs::open(settings, data_dir).await,
    }
}

#[cfg(feature = "ecs")]
mod ecs;

/// The engine that the directory belongs to; `None`: there is no note, as in directories from before there was a choice.
pub fn held(data_dir: &Path) -> Result<Option<EngineKind>, ChoiceError> {
    Ok(read(data_dir)?.map(|note| note.engine))
}

/// Makes the directory this engine's, or refuses because it is the other's. A directory without a note is nobody's as long
/// as it has no apps: a server died before it wrote one.
pub fn claim(data_dir: &Path, choice: &EngineChoice, world: &World) -> Result<(), ChoiceError> {
    let assumed = if world.apps.is_empty() { choice.kind() } else { EngineKind::Embedded };
    refuse_other(data_dir, choice, assumed)?;
    write(data_dir, &note(choice))
}

/// Refuses the other engine's directory; what one without a note is, is `assumed`.
pub fn refuse_other(data_dir: &Path, choice: &EngineChoice, assumed: EngineKind) -> Result<(), ChoiceError> {
    let held = held(data_dir)?.unwrap_or(assumed);
    if held == choice.kind() { Ok(()) } else { Err(ChoiceError::Other { dir: data_dir.to_owned(), held }) }
}

/// What `teardown` opens: the engine that the directory belongs to, with the settings of its last server.
pub fn for_teardown(data_dir: &Path) -> Result<EngineChoice, ChoiceError> {
    let none = MemoryMib::from_mib(0);
    let embedded = EngineChoice::Embedded(HostSettings { capacity: None, spares: none, reserve: Some(none) });
    let Some(note) = read(data_dir)? else { return Ok(embedded) };
    match note.engine {
        EngineKind::Embedded => Ok(embedded),
        #[cfg(feature = "ecs")]
        EngineKind::Ecs => Ok(EngineChoice::Ecs(note.ecs.unwrap_or_default())),
        #[cfg(not(feature = "ecs"))]
        EngineKind::Ecs => Err(ChoiceError::Lacking { dir: data_dir.to_owned() }),
    }
}

#[cfg(feature = "ecs")]
fn note(choice: &EngineChoice) -> Note {
    let ecs = match choice {
        EngineChoice::Embedded(_) => None,
        EngineChoice::Ecs(settings) => Some(settings.clone()),
    };
    Note { engine: choice.kind(), ecs }
}

#[cfg(not(feature = "ecs"))]
fn note(choice: &EngineChoice) -> Note {
    Note { engine: choice.kind() }
}

fn read(data_dir: &Path) -> Result<Option<Note>, ChoiceError> {
    let path = data_dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(note) => Ok(Some(note)),
            Err(source) => Err(ChoiceError::Damaged { path, source }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ChoiceError::Read { path, source }),
    }
}

/// Whole or not at all, also when the machine loses power.
fn write(data_dir: &Path, note: &Note) -> Result<(), ChoiceError> {
    let path = data_dir.join(FILE);
    let written = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
        serde_json::to_writer(&mut file, note)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        std::fs::File::open(data_dir)?.sync_all()
    };
    written().map_err(|source| ChoiceError::Write { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use tapit_model::{App, AppName, Change, Timestamp};

    use super::*;

    fn host() -> EngineChoice {
        let none = MemoryMib::from_mib(0);
        EngineChoice::Embedded(HostSettings { capacity: None, spares: none, reserve: Some(none) })
    }

    fn with_an_app() -> World {
        let mut world = World::default();
        let name = AppName::parse("shop").expect("legal");
        let (created_at, updated_at) = (Timestamp(0), Timestamp(0));
        world.apply(&Change::PutApp(App { name, image: None, created_at, updated_at, deleting: false }));
        world
    }

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn a_directory_stays_the_engines_that_claimed_it() {
        let dir = directory();
        assert!(matches!(held(dir.path()), Ok(None)));
        claim(dir.path(), &host(), &World::default()).expect("nobody's");
        assert!(matches!(held(dir.path()), Ok(Some(EngineKind::Embedded))));
        claim(dir.path(), &host(), &with_an_app()).expect("its own");
        assert_eq!(for_teardown(dir.path()).ok(), Some(host()));
    }

    #[test]
    fn a_damaged_note_is_told_and_not_taken_for_none() {
        let dir = directory();
        std::fs::write(dir.path().join(FILE), "{").expect("written");
        let error = claim(dir.path(), &host(), &World::default()).expect_err("damaged");
        assert!(error.to_string().ends_with("engine.json is damaged"), "{error}");
    }

    #[test]
    fn a_directory_from_before_there_was_a_choice_is_the_embedded_engines() {
        let dir = directory();
        claim(dir.path(), &host(), &with_an_app()).expect("its own");
        assert!(matches!(held(dir.path()), Ok(Some(EngineKind::Embedded))));
        assert_eq!(for_teardown(directory().path()).ok(), Some(host()));
    }

    #[cfg(feature = "ecs")]
    #[test]
    fn neither_engine_takes_over_the_directory_of_the_other() {
        let settings = tapit_ecs::EcsSettings { region: Some("eu-north-1".to_owned()), ..Default::default() };
        let ecs = EngineChoice::Ecs(settings);
        let old = directory();
        let error = claim(old.path(), &ecs, &with_an_app()).expect_err("it is from before there was a choice");
        assert!(error.to_string().contains("start it with --engine embedded"), "{error}");

        let dir = directory();
        claim(dir.path(), &ecs, &World::default()).expect("nobody's");
        let error = claim(dir.path(), &host(), &World::default()).expect_err("it is the other's");
        assert!(error.to_string().contains("holds apps of the ecs engine"), "{error}");
        assert_eq!(for_teardown(dir.path()).ok(), Some(ecs), "with the settings of its last server");
    }

    #[cfg(not(feature = "ecs"))]
    #[test]
    fn a_build_without_ecs_leaves_a_directory_of_it_alone() {
        let dir = directory();
        std::fs::write(dir.path().join(FILE), r#"{"engine":"ecs","ecs":{"region":"eu-north-1"}}"#).expect("written");
        assert!(matches!(claim(dir.path(), &host(), &World::default()), Err(ChoiceError::Other { .. })));
        assert!(matches!(for_teardown(dir.path()), Err(ChoiceError::Lacking { .. })));
    }
}
