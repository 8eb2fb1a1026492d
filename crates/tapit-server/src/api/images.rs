//! `/v1/images` and `/v1/image`: the images held by the engine.
//!
//! An image is named by a parameter, not by the path: its name holds slashes and colons.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use tapit_model::{ImageView, Outcome};

use super::errors::ApiError;
use super::extract::{Asked, ChangeQuery, NoQuery, image_ref};
use super::{Api, spool, to_the_end};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    #[serde(rename = "ref")]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageQuery {
    #[serde(rename = "ref")]
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    #[serde(rename = "ref")]
    name: String,
    #[serde(default)]
    dry_run: bool,
}

/// The images held here.
#[utoipa::path(get, path = "/v1/images", tag = "images", responses((status = 200, body = Vec<ImageView>)))]
pub(super) async fn list(State(api): State<Api>, _: Asked<NoQuery>) -> Result<Json<Vec<ImageView>>, ApiError> {
    Ok(Json(api.core.images().await?))
}

/// Imports a tar of `docker save` or of an OCI layout, sent as the body.
#[utoipa::path(
    post, path = "/v1/images", tag = "images",
    params(("ref" = Option<String>, Query, description = "NAME:TAG, when the archive has no name or another one")),
    request_body(content = inline(super::openapi::Archive), content_type = "application/x-tar"),
    responses((status = 200, body = Vec<ImageView>))
)]
pub(super) async fn import(
    State(api): State<Api>,
    Asked(asked): Asked<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Vec<ImageView>>, ApiError> {
    let name = asked.name.as_deref().map(image_ref).transpose()?;
    let archive = spool::receive(&api.core.spool_dir(), &headers, body, api.limits).await?;
    // The task holds the archive: it is removed when the import has ended, and not under its hands.
    let imported = to_the_end(async move { api.core.import_image(&archive, name).await }).await?;
    Ok(Json(imported?))
}

/// One image.
#[utoipa::path(
    get, path = "/v1/image", tag = "images",
    params(("ref" = String, Query, description = "NAME:TAG")),
    responses((status = 200, body = ImageView))
)]
pub(super) async fn show(State(api): State<Api>, Asked(asked): Asked<ImageQuery>) -> Result<Json<ImageView>, ApiError> {
    Ok(Json(api.core.image(&image_ref(&asked.name)?).await?))
}

/// Forgets an image that nothing uses.
#[utoipa::path(
    delete, path = "/v1/image", tag = "images",
    params(
        ("ref" = String, Query, description = "NAME:TAG"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Asked(asked): Asked<DeleteQuery>,
) -> Result<Json<Outcome>, ApiError> {
    let name = image_ref(&asked.name)?;
    let outcome = to_the_end(async move { api.core.delete_image(&name, asked.dry_run).await }).await?;
    Ok(Json(outcome?))
}

/// Forgets every image that nothing uses.
#[utoipa::path(
    post, path = "/v1/images/prune", tag = "images",
    params(("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn prune(
    State(api): State<Api>,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    let outcome = to_the_end(async move { api.core.prune_images(dry_run).await }).await?;
    Ok(Json(outcome?))
}
