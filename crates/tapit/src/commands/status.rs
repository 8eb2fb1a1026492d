//! The server itself.

use tapit_model::StatusView;

use super::Stop;
use super::session::Session;
use crate::output::status_page;

pub async fn status(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let status: StatusView = session.client.get("/v1/status").await?;
    session.show(&status, status_page)
}
