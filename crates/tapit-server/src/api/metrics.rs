//! `/metrics`: for collectors that read the text format of Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Api;
use super::errors::ApiError;
use super::extract::{Asked, NoQuery};
use crate::metrics::exposition;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics; `docs/metrics.md` lists them.
#[utoipa::path(
    get, path = "/metrics", tag = "status",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn show(State(api): State<Api>, _: Asked<NoQuery>) -> Result<impl IntoResponse, ApiError> {
    let measurements = api.core.measurements().await?;
    Ok(([(CONTENT_TYPE, FORMAT)], exposition(&measurements)))
}
