//! `/v1/images/push`: a held image goes to a registry.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tapit_model::TransferFrame;

use super::errors::ApiError;
use super::extract::{Asked, image_ref};
use super::{Api, transfer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushQuery {
    #[serde(rename = "ref")]
    name: String,
    to: Option<String>,
}

/// Sends an image to a registry; what the registry has is not sent again.
///
/// The answer is a stream of frames, a line of JSON each: some `progress`, then `done` or `failed` with the reason. An
/// empty line is a sign of life. The image in `done` has the name that it has in the registry, with the digest of its
/// manifest there. The push goes on when nobody listens any more.
#[utoipa::path(
    post, path = "/v1/images/push", tag = "images",
    params(
        ("ref" = String, Query, description = "NAME:TAG of an image that is held here"),
        ("to" = Option<String>, Query, description = "REGISTRY/NAME:TAG; its own name when left out")
    ),
    responses((status = 200, body = TransferFrame, content_type = "application/x-ndjson"))
)]
pub(super) async fn push(State(api): State<Api>, Asked(asked): Asked<PushQuery>) -> Result<Response, ApiError> {
    let name = image_ref(&asked.name)?;
    let to = asked.to.as_deref().map(image_ref).transpose()?.unwrap_or_else(|| name.clone());
    if to.digest().is_some() {
        return Err(ApiError::usage(format!("{to} has a digest; an image is pushed under a tag, so give to=NAME:TAG")));
    }
    Ok(transfer::lines(api.core.push_image(name, to).await?))
}
