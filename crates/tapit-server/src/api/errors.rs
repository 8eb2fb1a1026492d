//! Every error answer is a `Refusal` as JSON; this file turns whatever goes wrong into one.

use std::any::Any;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tapit_model::{Code, Refusal};

/// Where every error points to.
pub(super) const DESCRIPTION: &str = "GET /v1/openapi.json describes the API";

/// A refusal with the HTTP status that it is answered with, when that says more than its code does.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    refusal: Refusal,
}

impl ApiError {
    pub(super) fn with_status(status: StatusCode, refusal: Refusal) -> Self {
        Self { status, refusal }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Refusal::usage(message).into()
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Refusal::new(Code::Denied, message).into()
    }

    /// A body larger than allowed; `what` is the bound in words.
    pub(super) fn too_large(what: &str) -> Self {
        Self::with_status(StatusCode::PAYLOAD_TOO_LARGE, Refusal::usage(format!("the body is larger than {what}")))
    }

    /// The sender of a body stopped sending.
    pub(super) fn body_stalled() -> Self {
        Self::with_status(StatusCode::REQUEST_TIMEOUT, Refusal::usage("the body did not arrive in time; send it again"))
    }

    /// A handler panicked. The text stays in the server's log: it may hold anything.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        tracing::error!(panic = text, "a handler of the API panicked");
        Refusal::failed("the server failed on this request, which is a bug of tapit; its log says more").into()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, refusal }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.refusal)).into_response()
    }
}

pub(super) async fn unknown_path(uri: axum::http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::not_found(format!("the API has no path {path:?}; {DESCRIPTION}")).into()
}

pub(super) async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    let refusal = Refusal::usage(format!("{method} is not possible on {path:?}; {DESCRIPTION}"));
    ApiError::with_status(StatusCode::METHOD_NOT_ALLOWED, refusal)
}
