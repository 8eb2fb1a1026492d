//! What an engine has and lacks here: prints what was found, and says whether instances can run.

use std::time::Duration;

use serde::Serialize;
use tapit_container::doctor::{Check, can_run};
use tapit_model::{EngineKind, Refusal, StatusView};

use super::Stop;
use super::session::Session;
use crate::invocation::DoctorWanted;
use crate::output::{Screen, doctor_page};
use crate::surroundings::Surroundings;

/// A server that is there says so at once; whether it is, is beside the point here.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is printed as JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// What it is about.
    pub engine: EngineKind,
    /// Instances can run.
    pub ok: bool,
    pub checks: &'a [Check],
    /// The version of the server that runs here, if one answers.
    pub server: Option<String>,
}

/// Where instances cannot run is a refusal, so that a script is told by the exit status.
pub fn doctor(
    checks: &[Check],
    wanted: DoctorWanted,
    surroundings: &Surroundings,
    screen: &mut Screen,
) -> Result<(), Stop> {
    // What is not an engine was refused before anything was looked at.
    let engine = wanted.engine.name.as_deref().and_then(EngineKind::parse).unwrap_or_default();
    let mut session = Session::new(wanted.common, surroundings, screen)?;
    let status = super::block_on(async {
        let asked = session.client.get::<StatusView>("/v1/status");
        tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
    })?;
    let report = Report { engine, ok: can_run(checks), checks, server: status.map(|status| status.version) };
    session.show(&report, doctor_page)?;
    session.screen.flush()?;
    if report.ok {
        Ok(())
    } else {
        let what = match engine {
            EngineKind::Embedded => "containers cannot run here",
            EngineKind::Ecs => "apps cannot run on ECS with these credentials",
        };
        Err(Refusal::failed(format!("{what}: what is missing is said above")).into())
    }
}
