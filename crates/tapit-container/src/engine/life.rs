//! What the engine knows of an instance beyond its order and its exit, kept in the instance's directory.
//!
//! A restarted server reads it back, so that an instance that was told to stop is never routed again and one that was
//! healthy need not prove itself anew. Written by rename without a sync: it must survive the death of the server, not
//! of the host, since no container survives that either.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tapit_model::{Check, Digest, Exit, Moment, Reason, Size, Timestamp};
use tapit_plan::host::Phase;

use crate::instance::{FileError, Survives, write_json};

const FILE: &str = "life.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    pub boot_id: String,
    /// What it was made from, as long as it lives: its layers must not go. `None`: an older server did not say.
    #[serde(default)]
    pub image: Option<Digest>,
    pub phase: Phase,
    pub size: Size,
    pub check: Check,
    pub reason: Option<Reason>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub healthy_at: Option<Timestamp>,
    /// The same moment, for timers.
    pub healthy_since: Option<Moment>,
    pub stopped_at: Option<Timestamp>,
    pub exit: Option<Exit>,
    /// How the instance ended whose place this one took.
    pub earlier_exit: Option<Exit>,
}

impl Life {
    pub fn write(&self, dir: &Path) -> Result<(), FileError> {
        write_json(&dir.join(FILE), self, Survives::ServerEnd)
    }

    /// `None` when the file is missing or not readable as one of ours: the instance must then prove itself anew.
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(FILE)).ok()?).ok()
    }
}
