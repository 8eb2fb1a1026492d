//! `/v1/apps/{app}/diff`: what would be different on another engine.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapit_model::{DifferenceView, EngineKind};

use super::Api;
use super::errors::ApiError;
use super::extract::{Asked, InApp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    engine: Option<String>,
}

/// What each process of an app would find different on another engine. Changes nothing, and asks no other engine.
#[utoipa::path(
    get, path = "/v1/apps/{app}/diff", tag = "apps",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("engine" = String, Query, description = "the other engine: embedded or ecs")
    ),
    responses((status = 200, body = Vec<DifferenceView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(asked): Asked<DiffQuery>,
) -> Result<Json<Vec<DifferenceView>>, ApiError> {
    const LEGAL: &str = "give engine=embedded or engine=ecs";
    let Some(engine) = asked.engine else {
        return Err(ApiError::usage(format!("the engine to compare with is missing; {LEGAL}")));
    };
    let engine =
        EngineKind::parse(&engine).ok_or_else(|| ApiError::usage(format!("engine={engine} is not legal; {LEGAL}")))?;
    Ok(Json(api.core.diff(&app, engine).await?))
}
