//! What is set for registries: logins, mirrors, permission for plain HTTP. One file that only its owner may read.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapit_model::{RegistryName, RegistrySettings};

use super::disk::{self, Layout};
use super::error::{Fault, ImageStoreError};

const MAX_FILE: u64 = 4 << 20;

pub struct Settings {
    layout: Layout,
    all: Mutex<BTreeMap<RegistryName, RegistrySettings>>,
}

impl Settings {
    pub fn open(layout: &Layout) -> Result<Self, ImageStoreError> {
        let path = layout.registries();
        let failed = |source| ImageStoreError::Registries { path: path.clone(), source };
        let all = match disk::read(&path, MAX_FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { layout: layout.clone(), all: Mutex::new(all) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RegistryName, RegistrySettings>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> BTreeMap<RegistryName, RegistrySettings> {
        self.lock().clone()
    }

    /// Replaces or forgets what is set for one registry. The file is written first.
    pub fn set(&self, name: RegistryName, settings: Option<RegistrySettings>) -> Result<(), Fault> {
        let mut all = self.lock();
        let mut next = all.clone();
        match settings {
            Some(settings) => drop(next.insert(name, settings)),
            None => drop(next.remove(&name)),
        }
        let failed = |error: io::Error| Fault::host("write the settings of registries", &error);
        let bytes = serde_json::to_vec_pretty(&next).map_err(|error| failed(error.into()))?;
        // Temporary files are made with mode 0600, and the rename keeps it.
        disk::write(&self.layout.registries(), &bytes).map_err(failed)?;
        *all = next;
        Ok(())
    }
}
