//! Transfers of images as streams of JSON lines.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tapit_model::TransferFrame;

use super::core::TransferFrames;

/// One frame per line; an empty line is a sign of life. The last frame is `done` or `failed`.
pub(super) fn lines(frames: TransferFrames) -> Response {
    let text = frames.map(|frame| line(frame.as_ref()));
    let head = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    (head, Body::from_stream(text)).into_response()
}

fn line(frame: Option<&TransferFrame>) -> std::io::Result<Vec<u8>> {
    let mut text = frame.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    text.push(b'\n');
    Ok(text)
}
