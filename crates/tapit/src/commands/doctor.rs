//! What this machine has and lacks: prints what was found, and says whether containers can run.

use std::time::Duration;

use serde::Serialize;
use tapit_container::doctor::{Check, can_run};
use tapit_model::{Refusal, StatusView};

use super::Stop;
use super::session::Session;
use crate::invocation::Common;
use crate::output::{Screen, doctor_page};
use crate::surroundings::Surroundings;

/// A server that is there says so at once; whether it is, is beside the point here.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is printed as JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// Containers can run.
    pub ok: bool,
    pub checks: &'a [Check],
    /// The version of the server that runs here, if one answers.
    pub server: Option<String>,
}

/// A machine that cannot run containers is a refusal, so that a script is told by the exit status.
pub fn doctor(checks: &[Check], common: Common, surroundings: &Surroundings, screen: &mut Screen) -> Result<(), Stop> {
    let mut session = Session::new(common, surroundings, screen)?;
    let status = super::block_on(async {
        let asked = session.client.get::<StatusView>("/v1/status");
        tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
    })?;
    let report = Report { ok: can_run(checks), checks, server: status.map(|status| status.version) };
    session.show(&report, doctor_page)?;
    session.screen.flush()?;
    if report.ok {
        Ok(())
    } else {
        Err(Refusal::failed("containers cannot run here: what is missing is said above").into())
    }
}
