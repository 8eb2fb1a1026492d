//! `tapit doctor`: what the engine that would run here has and lacks.

use std::path::Path;

use tapit_container::doctor::Check;
use tapit_model::Refusal;

use crate::config::{EngineArgs, EngineChoice};
use crate::engine::OWN_PROGRAM;

#[cfg(feature = "ecs")]
mod ecs;

/// Looks at everything; needs no server and changes nothing. Containers would have their files in `dir`, or on the same
/// file system.
pub fn examine(args: EngineArgs, dir: &Path) -> Result<Vec<Check>, Refusal> {
    match EngineChoice::resolve(args)? {
        EngineChoice::Embedded(_) => Ok(tapit_container::doctor::examine(Path::new(OWN_PROGRAM), dir)),
        #[cfg(feature = "ecs")]
        EngineChoice::Ecs(settings) => ecs::examine(&settings),
    }
}
