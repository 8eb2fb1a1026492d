//! Calls that are written here and not by the SDK: signed, sent once, read within bounds.
//!
//! Two ways of speaking cover the services in question: forms that are answered in XML (EC2, IAM) and JSON (CloudWatch Logs,
//! ECR). Everything else is the SDK's: HTTP client, signature, credentials, endpoints from the environment.

mod endpoint;
mod form;
mod identity;
mod xml;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

pub use endpoint::Service;
pub use form::Form;
pub use xml::Record;

use super::config::{ANSWER, ConnectError};
use super::fault::{Said, answered, chain, is_credentials};
use super::lacking;
use crate::api::{ApiError, ApiFault, Operation};
use endpoint::{Endpoint, Endpoints};
use identity::Identities;

/// No answer to any of these calls comes near it: 10,000 log events are at most 1 MiB.
const BODY_LIMIT: usize = 8 << 20;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const JSON: &str = "application/x-amz-json-1.1";
const USER_AGENT: &str = concat!("tapit/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub struct Wire {
    connector: SharedHttpConnector,
    identities: Identities,
    endpoints: Endpoints,
    patience: Duration,
}

/// Something to be sent, before it is signed.
struct Unsigned<'a> {
    operation: Operation,
    endpoint: &'a Endpoint,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// What came back.
struct Reply {
    status: u16,
    /// Of the header that names an error, if there is one.
    error: Option<String>,
    body: Vec<u8>,
}

impl Wire {
    pub fn new(config: &SdkConfig, connector: SharedHttpConnector) -> Result<Self, ConnectError> {
        let credentials = config.credentials_provider().ok_or(ConnectError::NoCredentials)?;
        Ok(Self {
            connector,
            identities: Identities::new(credentials),
            endpoints: Endpoints::new(config)?,
            patience: ANSWER,
        })
    }

    /// The region that all calls go to.
    pub fn region(&self) -> &str {
        self.endpoints.region()
    }

    /// `HOST` or `HOST:PORT` of a service that was moved to where plain HTTP is spoken: to an emulator, since AWS speaks
    /// none.
    pub fn emulated(&self, service: Service) -> Option<&str> {
        self.endpoints.of(service).url.strip_prefix("http://")?.split('/').next()
    }

    /// Sends a form. The answer: of each element at the path below the root, the texts of the fields named.
    pub async fn form(&self, asked: (Operation, Service), form: Form, wanted: Wanted) -> Result<Vec<Record>, ApiError> {
        let (operation, service) = asked;
        let unsigned = Unsigned {
            operation,
            endpoint: self.endpoints.of(service),
            headers: vec![("content-type", FORM.to_owned())],
            body: form.encoded(),
        };
        let reply = self.exchange(unsigned).await?;
        let text = String::from_utf8_lossy(&reply.body);
        if reply.status < 300 {
            return xml::records(&text, wanted.path, wanted.fields).map_err(|error| unreadable(operation, &error));
        }
        let paths: [&[&str]; 2] = [&["Error"], &["Errors", "Error"]];
        let found = paths.iter().find_map(|path| xml::records(&text, path, &["Code", "Message"]).ok()?.pop());
        let error = found.unwrap_or_default();
        let (code, message) = (error.text("Code").unwrap_or_default(), error.text("Message").unwrap_or_default());
        Err(self.refusal(operation, Said { code, message, status: Some(reply.status) }).await)
    }

    /// Sends JSON, reads JSON.
    pub async fn json<A: DeserializeOwned>(
        &self,
        asked: (Operation, Service),
        target: &str,
        body: serde_json::Value,
    ) -> Result<A, ApiError> {
        let (operation, service) = asked;
        let unsigned = Unsigned {
            operation,
            endpoint: self.endpoints.of(service),
            headers: vec![("content-type", JSON.to_owned()), ("x-amz-target", target.to_owned())],
            body: body.to_string(),
        };
        let reply = self.exchange(unsigned).await?;
        if reply.status < 300 {
            // What answers with nothing sends nothing at all.
            let body = if reply.body.is_empty() { b"{}".as_slice() } else { &reply.body };
            return serde_json::from_slice(body).map_err(|error| unreadable(operation, &error));
        }
        let said: JsonError = serde_json::from_slice(&reply.body).unwrap_or_default();
        let code = said.kind.or(reply.error).unwrap_or_default();
        let said = Said { code: bare(&code), message: &said.message.unwrap_or_default(), status: Some(reply.status) };
        Err(self.refusal(operation, said).await)
    }

    async fn refusal(&self, operation: Operation, said: Said<'_>) -> ApiError {
        let error = answered(operation, said);
        if error.fault == ApiFault::Credentials {
            // They may have been renewed where they come from.
            self.identities.forget().await;
        }
        error
    }

    async fn exchange(&self, unsigned: Unsigned<'_>) -> Result<Reply, ApiError> {
        let operation = unsigned.operation;
        let patient = tokio::time::timeout(self.patience, self.sent(unsigned)).await;
        let silent = |_| unavailable(operation, format!("no answer within {} s", self.patience.as_secs()));
        patient.map_err(silent)?
    }

    async fn sent(&self, unsigned: Unsigned<'_>) -> Result<Reply, ApiError> {
        let operation = unsigned.operation;
        let request = self.signed(unsigned).await?;
        let response = self.connector.call(request).await.map_err(|error| {
            let fault = if is_credentials(&error) { ApiFault::Credentials } else { ApiFault::Unavailable };
            ApiError { operation, fault, text: chain(&error) }
        })?;
        let reply = read(response).await.map_err(|text| unavailable(operation, text))?;
        Ok(reply)
    }

    async fn signed(&self, unsigned: Unsigned<'_>) -> Result<HttpRequest, ApiError> {
        let Unsigned { operation, endpoint, mut headers, body } = unsigned;
        headers.push(("user-agent", USER_AGENT.to_owned()));
        let identity = self.identities.current().await.map_err(|error| ApiError {
            operation,
            fault: ApiFault::Credentials,
            text: chain(&error),
        })?;
        let wrong = |error: String| ApiError { operation, fault: ApiFault::Invalid, text: error };
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&endpoint.region)
            .name(endpoint.signed_as)
            .time(std::time::SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(chain(&error)))?
            .into();
        let named = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new("POST", &endpoint.url, named, SignableBody::Bytes(body.as_bytes()))
            .map_err(|error| wrong(chain(&error)))?;
        let (signature, _) = sign(signable, &params).map_err(|error| wrong(chain(&error)))?.into_parts();
        let named = headers.iter().map(|(name, value)| (*name, value.as_str())).chain(signature.headers());
        let request =
            named.fold(http::Request::post(&endpoint.url), |request, (name, value)| request.header(name, value));
        let request = request.body(SdkBody::from(body.as_str())).map_err(|error| wrong(chain(&error)))?;
        HttpRequest::try_from(request).map_err(|error| wrong(chain(&error)))
    }
}

/// What of an answer in XML is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Below the root element.
    pub path: &'static [&'static str],
    pub fields: &'static [&'static str],
}

impl Wanted {
    /// Of an answer that says nothing.
    pub const NOTHING: Wanted = Wanted { path: &[], fields: &[] };
}

#[derive(Debug, Default, serde::Deserialize)]
struct JsonError {
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// `com.amazonaws.logs#Code:http://…` → `Code`
fn bare(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code)
}

async fn read(response: HttpResponse) -> Result<Reply, String> {
    let status = response.status().as_u16();
    let error = response.headers().get("x-amzn-errortype").map(ToOwned::to_owned);
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
    let body = body.map_err(|error| format!("the answer's body: {}", chain(&*error)))?.to_bytes().to_vec();
    Ok(Reply { status, error, body })
}

fn unavailable(operation: Operation, text: String) -> ApiError {
    ApiError { operation, fault: ApiFault::Unavailable, text }
}

fn unreadable(operation: Operation, error: &(dyn std::error::Error + 'static)) -> ApiError {
    lacking(operation, &format!("what can be read: {}", chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_freed_of_what_surrounds_it() {
        let codes = ["Simple", "com.amazonaws.logs#Simple", "Simple:http://internal/coral", "a#Simple:b"];
        assert!(codes.iter().all(|code| bare(code) == "Simple"));
    }
}
