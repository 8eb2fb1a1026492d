//! `/v1/apps/{app}/usage`: what instances use now.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapit_model::InstanceUsageView;

use super::Api;
use super::errors::ApiError;
use super::extract::{Asked, InApp, process_name};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    process: Option<String>,
}

/// One reading of every instance that is not stopped. Totals count from its start: rates are drawn from two readings.
#[utoipa::path(
    get, path = "/v1/apps/{app}/usage", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = Option<String>, Query, description = "only of this process")
    ),
    responses((status = 200, body = Vec<InstanceUsageView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(asked): Asked<UsageQuery>,
) -> Result<Json<Vec<InstanceUsageView>>, ApiError> {
    let process = asked.process.as_deref().map(process_name).transpose()?;
    Ok(Json(api.core.usage(&app, process.as_ref()).await?))
}
