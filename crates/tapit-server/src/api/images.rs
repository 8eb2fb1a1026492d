//! `/v1/images` and `/v1/image`: the images held by the engine.
//!
//! An image is named by a parameter, not by the path: its name holds slashes and colons.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tapit_model::{ImageView, Outcome, TransferFrame};

use super::errors::ApiError;
use super::extract::{Asked, ChangeQuery, NoQuery, image_key, image_ref};
use super::{Api, spool, to_the_end, transfer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    #[serde(rename = "ref")]
    name: Option<String>,
    #[serde(default)]
    source: ArchiveSource,
}

/// Where an archive comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ArchiveSource {
    #[default]
    Import,
    Build,
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
    params(
        ("ref" = Option<String>, Query, description = "NAME:TAG, when the archive has no name or another one"),
        ("source" = Option<String>, Query, description = "import, or build for what was just built, which needs ref")
    ),
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
    let built = match (asked.source, &name) {
        (ArchiveSource::Import, _) => None,
        (ArchiveSource::Build, Some(name)) => Some(name.clone()),
        (ArchiveSource::Build, None) => {
            return Err(ApiError::usage("what was built is imported under a name; give ref="));
        }
    };
    let archive = spool::receive(&api.core.spool_dir(), &headers, body, api.limits).await?;
    // The task holds the archive: it is removed when the import has ended, and not under its hands.
    let imported = to_the_end(async move {
        match built {
            Some(name) => api.core.import_built(&archive, name).await,
            None => api.core.import_image(&archive, name).await,
        }
    });
    let imported = imported.await?;
    Ok(Json(imported?))
}

/// Asks the registry what an image is now, and holds that.
///
/// The answer is a stream of frames, a line of JSON each: some `progress`, then `done` with the image or `failed` with the
/// reason. An empty line is a sign of life. The pull goes on when nobody listens any more.
#[utoipa::path(
    post, path = "/v1/images/pull", tag = "images",
    params(("ref" = String, Query, description = "REGISTRY/NAME:TAG or NAME@DIGEST")),
    responses((status = 200, body = TransferFrame, content_type = "application/x-ndjson"))
)]
pub(super) async fn pull(State(api): State<Api>, Asked(asked): Asked<ImageQuery>) -> Result<Response, ApiError> {
    Ok(transfer::lines(api.core.pull_image(image_ref(&asked.name)?).await))
}

/// One image.
#[utoipa::path(
    get, path = "/v1/image", tag = "images",
    params(("ref" = String, Query, description = "NAME:TAG, or a digest or the beginning of one")),
    responses((status = 200, body = ImageView))
)]
pub(super) async fn show(State(api): State<Api>, Asked(asked): Asked<ImageQuery>) -> Result<Json<ImageView>, ApiError> {
    Ok(Json(api.core.image(&image_key(&asked.name)?).await?))
}

/// Forgets an image that nothing uses.
#[utoipa::path(
    delete, path = "/v1/image", tag = "images",
    params(
        ("ref" = String, Query, description = "NAME:TAG, or for an image with all its names its digest or the beginning of it"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Asked(asked): Asked<DeleteQuery>,
) -> Result<Json<Outcome>, ApiError> {
    let key = image_key(&asked.name)?;
    let outcome = to_the_end(async move { api.core.delete_image(&key, asked.dry_run).await }).await?;
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
