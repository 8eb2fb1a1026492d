//! The HTTP client of the API: one connection per request, over a unix socket, TCP or TLS.
//!
//! `commands` calls it. It knows addresses, time limits and how answers become values or refusals; it knows no command.

mod address;
mod body;
mod connect;
mod frames;
mod lines;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use serde::de::DeserializeOwned;
use tapit_model::{Code, EXEC_PROTOCOL, Refusal};

pub use address::{Address, AddressError};
pub use body::Upload;
pub use frames::{FrameReader, FrameWriter, frames};
pub use lines::Lines;

use crate::surroundings::Surroundings;

/// A busy server still answers a question within this.
const ANSWER: Duration = Duration::from_secs(60);
/// What a long poll may take beyond the time that the server was asked to wait.
const POLL_GRACE: Duration = Duration::from_secs(15);
/// An upload is as long as the archive and the disks make it; this only ends what will never end.
const UPLOAD: Duration = Duration::from_secs(4 * 3600);
const MAX_ANSWER: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach the server at {address}")]
    Connect { address: String, source: std::io::Error },
    #[error("the certificate of {address} cannot be checked")]
    Tls { address: String, source: rustls::Error },
    #[error("the connection to {address} was lost")]
    Lost { address: String, source: hyper::Error },
    #[error("the answer of {address} broke off, or is longer than {MAX_ANSWER} bytes")]
    Body { address: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the server at {address} did not answer within {} s", limit.as_secs())]
    Slow { address: String, limit: Duration },
    #[error("the answer of {address} to {path} is not what this version of tapit expects")]
    Answer { address: String, path: String, source: serde_json::Error },
    #[error("the request {path} cannot be made")]
    Request { path: String, source: hyper::http::Error },
    #[error("the server said no")]
    Refused(#[source] Refusal),
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let text = tapit_model::describe(&error);
        match error {
            ClientError::Refused(refusal) => refusal,
            ClientError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Refusal::new(Code::Denied, format!("{text}; its socket belongs to another user"))
            }
            // Somebody answers there, and is not trusted.
            ClientError::Connect { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                Refusal::new(Code::Unavailable, text)
            }
            ClientError::Connect { .. } => {
                let hint = "start one with `tapit server`, or say with TAPIT_BASEURL where it is";
                Refusal::new(Code::Unavailable, format!("{text}; {hint}"))
            }
            ClientError::Tls { .. }
            | ClientError::Lost { .. }
            | ClientError::Body { .. }
            | ClientError::Slow { .. } => Refusal::new(Code::Unavailable, text),
            ClientError::Answer { .. } | ClientError::Request { .. } => Refusal::failed(text),
        }
    }
}

/// A server, and how to speak with it.
#[derive(Debug)]
pub struct Client {
    address: Address,
    token: Option<header::HeaderValue>,
}

impl Client {
    /// The client for the server that the surroundings select. Reaches nothing yet.
    pub fn new(surroundings: &Surroundings) -> Result<Self, Refusal> {
        let address = Address::parse(&crate::select::server(surroundings)?).map_err(AddressError::into_refusal)?;
        let token = match surroundings.variable("TAPIT_TOKEN") {
            None => None,
            Some(_) if address.is_exposed() => {
                let text = format!("TAPIT_TOKEN would cross the network in clear text to {address}; use https://");
                return Err(Refusal::usage(text));
            }
            Some(token) => {
                let mut value = header::HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| Refusal::usage("TAPIT_TOKEN holds characters that no token has"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { address, token })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path, Upload::empty())?;
        self.answer(request, path, ANSWER).await
    }

    /// A question that the server may take `wait` to answer.
    pub async fn poll<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path, Upload::empty())?;
        self.answer(request, path, wait + POLL_GRACE).await
    }

    /// A change, with words as its body.
    pub async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        words: Option<&tapit_model::Words>,
    ) -> Result<T, ClientError> {
        let body = match words {
            Some(words) => {
                let text = serde_json::to_vec(words);
                Upload::bytes(text.map_err(|source| self.unreadable(path, source))?)
            }
            None => Upload::empty(),
        };
        let mut request = self.request(method, path, body)?;
        if words.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        self.answer(request, path, ANSWER).await
    }

    /// Sends a stream of any length.
    pub async fn upload<T: DeserializeOwned>(&self, path: &str, body: Upload) -> Result<T, ClientError> {
        let mut request = self.request(Method::POST, path, body)?;
        let tar = header::HeaderValue::from_static("application/x-tar");
        request.headers_mut().insert(header::CONTENT_TYPE, tar);
        self.answer(request, path, UPLOAD).await
    }

    /// Opens a stream of lines. Each may take as long as the server takes to show a sign of life.
    pub async fn lines(&self, path: &str) -> Result<Lines, ClientError> {
        self.told(self.request(Method::GET, path, Upload::empty())?, path).await
    }

    /// Starts something and opens the stream of lines that tells of it.
    pub async fn stream(&self, path: &str) -> Result<Lines, ClientError> {
        self.told(self.request(Method::POST, path, Upload::empty())?, path).await
    }

    async fn told(&self, request: Request<Upload>, path: &str) -> Result<Lines, ClientError> {
        let slow = |_| ClientError::Slow { address: self.address.to_string(), limit: ANSWER };
        let sent = tokio::time::timeout(ANSWER, connect::send(&self.address, request)).await;
        let response = sent.map_err(slow)??;
        if response.status().is_success() {
            return Ok(Lines::new(self.address.to_string(), path, response.into_body()));
        }
        Err(tokio::time::timeout(ANSWER, self.refused(response)).await.unwrap_or_else(slow))
    }

    /// Opens a connection of frames, in which a command runs.
    pub async fn upgrade(&self, path: &str) -> Result<Upgraded, ClientError> {
        let mut request = self.request(Method::POST, path, Upload::empty())?;
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(EXEC_PROTOCOL));
        let slow = |_| ClientError::Slow { address: self.address.to_string(), limit: ANSWER };
        let sent = tokio::time::timeout(ANSWER, connect::send(&self.address, request)).await;
        let response = sent.map_err(slow)??;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let lost = |source| ClientError::Lost { address: self.address.to_string(), source };
            return hyper::upgrade::on(response).await.map_err(lost);
        }
        Err(tokio::time::timeout(ANSWER, self.refused(response)).await.unwrap_or_else(slow))
    }

    fn request(&self, method: Method, path: &str, body: Upload) -> Result<Request<Upload>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.authority())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("tapit/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|source| ClientError::Request { path: path.to_owned(), source })?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: Request<Upload>,
        path: &str,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let exchange = async {
            let response = connect::send(&self.address, request).await?;
            self.read(response).await
        };
        let slow = |_| ClientError::Slow { address: self.address.to_string(), limit };
        let text = tokio::time::timeout(limit, exchange).await.map_err(slow)??;
        serde_json::from_slice(&text).map_err(|source| self.unreadable(path, source))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let status = response.status();
        let broken = |source| ClientError::Body { address: self.address.to_string(), source };
        let text = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(broken)?.to_bytes();
        if status.is_success() { Ok(text) } else { Err(ClientError::Refused(refusal(status.as_u16(), &text))) }
    }

    /// What an answer that is no success says.
    async fn refused(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status().as_u16();
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(text) => ClientError::Refused(refusal(status, &text.to_bytes())),
            Err(source) => ClientError::Body { address: self.address.to_string(), source },
        }
    }

    fn unreadable(&self, path: &str, source: serde_json::Error) -> ClientError {
        ClientError::Answer { address: self.address.to_string(), path: path.to_owned(), source }
    }
}

/// The refusal in an error answer. One that holds none (of something between us and the server) is named after its status.
fn refusal(status: u16, text: &[u8]) -> Refusal {
    if let Ok(refusal) = serde_json::from_slice(text) {
        return refusal;
    }
    let code = match status {
        400 | 405 | 411..=417 | 422 => Code::Usage,
        401 | 403 | 407 => Code::Denied,
        404 | 410 => Code::NotFound,
        409 => Code::Conflict,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Failed,
    };
    let shown: String = String::from_utf8_lossy(text).trim().chars().take(300).collect();
    Refusal::new(code, format!("the server answered with status {status}: {shown}"))
}

/// A query string from pairs, with everything escaped that could be misread; empty for none.
pub fn query(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        text += key;
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text += &format!("%{byte:02X}");
            }
        }
    }
    text
}
