//! `/v1/status`: the server itself.

use axum::Json;
use axum::extract::State;
use tapit_model::StatusView;

use super::Api;
use super::extract::{Asked, NoQuery};

/// Server, engine, capacity and version.
#[utoipa::path(get, path = "/v1/status", tag = "status", responses((status = 200, body = StatusView)))]
pub(super) async fn show(State(api): State<Api>, _: Asked<NoQuery>) -> Json<StatusView> {
    Json(api.core.status().await)
}
