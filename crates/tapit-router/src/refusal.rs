//! The answers that the router gives by itself. They name nothing that the client did not say, but for the text of a
//! closed route.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::attempt::Fault;
use crate::payload::BrokenUpload;
use crate::response::Content;
use crate::screen::Malformed;

/// Seconds after which a client may try again where the state passes by itself.
const SOON: &str = "1";
/// The same for a route that somebody closed.
const LATER: &str = "10";

/// Why a request got no answer from a backend.
#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed(Malformed),
    UnknownHost(String),
    /// The route's own text.
    Closed(String),
    /// Too many requests wait for a backend already.
    Crowded,
    /// No backend appeared in time.
    NoBackend,
    /// The last backend that was tried failed; `None` when it answered with a switch of protocols that nobody asked for.
    BadGateway(Option<Fault>),
    Late,
    Upload(BrokenUpload),
}

impl Refusal {
    /// Whether the request counts as failed: the client did nothing wrong.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::UnknownHost(_) | Self::Upload(_) => false,
            Self::Closed(_) | Self::Crowded | Self::NoBackend | Self::BadGateway(_) | Self::Late => true,
        }
    }

    pub(crate) fn response(&self) -> Response<Content> {
        let mut response = Response::new(Content::text(self.text() + "\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Closed(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(LATER));
            }
            Self::Crowded | Self::NoBackend | Self::BadGateway(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(SOON));
            }
            // What follows on the connection cannot be trusted to be a request.
            Self::Malformed(malformed) => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
                if *malformed == Malformed::Connect {
                    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
                }
            }
            Self::Upload(_) => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::UnknownHost(_) | Self::Late => {}
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(malformed) => malformed.status(),
            Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::Closed(_) | Self::Crowded | Self::NoBackend => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::Upload(BrokenUpload::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Upload(BrokenUpload::Unreadable) => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Malformed(malformed) => malformed.to_string(),
            Self::UnknownHost(host) if host.is_empty() => {
                "the request names no host, and there is no app for any".into()
            }
            Self::UnknownHost(host) => format!("no app answers for host {host:?}"),
            Self::Closed(text) => text.clone(),
            Self::Crowded => "too many requests are waiting for this app already".into(),
            Self::NoBackend => "no healthy instance of this app is running; try again shortly".into(),
            Self::BadGateway(_) => "the app did not answer the request properly".into(),
            Self::Late => "the app did not begin to answer in time".into(),
            Self::Upload(BrokenUpload::Stalled) => "the rest of the request's body did not arrive in time".into(),
            Self::Upload(BrokenUpload::Unreadable) => "the request's body is malformed".into(),
        }
    }
}
