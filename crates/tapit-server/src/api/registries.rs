//! `/v1/registries` and `/v1/registry`: what is set for registries. Passwords come in and never go out.
//!
//! A registry is named by a parameter, not by the path: its name may hold colons and brackets.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapit_model::{Outcome, RegistryName, RegistryPatch, RegistryView};

use super::errors::ApiError;
use super::extract::{Asked, NoQuery, WordsBody};
use super::{Api, to_the_end};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryQuery {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryChangeQuery {
    name: String,
    #[serde(default)]
    dry_run: bool,
}

fn registry(text: &str) -> Result<RegistryName, ApiError> {
    RegistryName::typed(text).map_err(|error| ApiError::usage(error.to_string()))
}

/// The registries that something is set for.
#[utoipa::path(get, path = "/v1/registries", tag = "images", responses((status = 200, body = Vec<RegistryView>)))]
pub(super) async fn list(State(api): State<Api>, _: Asked<NoQuery>) -> Result<Json<Vec<RegistryView>>, ApiError> {
    Ok(Json(api.core.registries().await?))
}

/// What is set for one registry.
#[utoipa::path(
    get, path = "/v1/registry", tag = "images",
    params(("name" = String, Query, description = "HOST or HOST:PORT")),
    responses((status = 200, body = RegistryView))
)]
pub(super) async fn show(
    State(api): State<Api>,
    Asked(asked): Asked<RegistryQuery>,
) -> Result<Json<RegistryView>, ApiError> {
    Ok(Json(api.core.registry(&registry(&asked.name)?).await?))
}

/// Sets a login, mirrors or plain HTTP for a registry; an empty value clears.
#[utoipa::path(
    patch, path = "/v1/registry", tag = "images",
    params(
        ("name" = String, Query, description = "HOST or HOST:PORT"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::RegistryKeys),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn set(
    State(api): State<Api>,
    Asked(asked): Asked<RegistryChangeQuery>,
    WordsBody(words): WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let (name, patch) = (registry(&asked.name)?, RegistryPatch::parse(&words)?);
    let outcome = to_the_end(async move { api.core.set_registry(&name, patch, asked.dry_run).await }).await?;
    Ok(Json(outcome?))
}

/// Forgets everything that is set for a registry.
#[utoipa::path(
    delete, path = "/v1/registry", tag = "images",
    params(
        ("name" = String, Query, description = "HOST or HOST:PORT"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Asked(asked): Asked<RegistryChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    let name = registry(&asked.name)?;
    let outcome = to_the_end(async move { api.core.delete_registry(&name, asked.dry_run).await }).await?;
    Ok(Json(outcome?))
}
