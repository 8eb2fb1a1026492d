//! What an app would find different on another engine.

use tapit_model::{DifferenceView, EngineKind};

use super::Stop;
use super::session::Session;
use crate::client::query;
use crate::output::differences_table;

pub async fn diff(session: &mut Session<'_, '_>, engine: EngineKind) -> Result<(), Stop> {
    let app = session.app().await?;
    let path = format!("/v1/apps/{app}/diff{}", query(&[("engine", engine.to_string())]));
    let differences: Vec<DifferenceView> = session.client.get(&path).await?;
    session.show(differences.as_slice(), differences_table)
}
