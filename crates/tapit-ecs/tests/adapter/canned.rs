//! A connection that answers from a script, and what was sent over it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use tapit_ecs::api::{Answer, ApiError, EcsApi, Request};
use tapit_ecs::aws::Aws;
use tapit_ecs::doctor::{Decision, Policies, Simulated};

/// What is to be answered to one call.
#[derive(Debug, Clone)]
pub enum Canned {
    Answer {
        status: u16,
        body: String,
    },
    /// The connection breaks.
    Broken,
}

/// One call as it went out.
#[derive(Debug, Clone)]
pub struct Sent {
    pub uri: String,
    /// Of the header that names the operation of a service that speaks JSON.
    pub target: Option<String>,
    pub authorization: Option<String>,
    pub body: String,
}

impl Sent {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Debug, Clone, Default)]
struct Line {
    script: Arc<Mutex<VecDeque<Canned>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        self.sent.lock().expect("sent").push(Sent {
            uri: request.uri().to_owned(),
            target: header("x-amz-target"),
            authorization: header("authorization"),
            body: String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
        });
        HttpConnectorFuture::ready(match self.script.lock().expect("script").pop_front() {
            Some(Canned::Answer { status, body }) => {
                let status = status.try_into().expect("a status");
                Ok(HttpResponse::new(status, SdkBody::from(body)))
            }
            Some(Canned::Broken) => Err(ConnectorError::io("the connection was reset".into())),
            None => Err(ConnectorError::user("the script is at its end".into())),
        })
    }
}

pub struct Account {
    aws: Aws,
    line: Line,
}

impl Account {
    pub fn answering(script: impl IntoIterator<Item = Canned>) -> Self {
        let credentials = Credentials::new("AKID", "secret", Some("token".to_owned()), None, "test");
        Self::with(SharedCredentialsProvider::new(credentials), script)
    }

    /// Nobody can say who we are.
    pub fn without_credentials() -> Self {
        let nobody = async || Err(CredentialsError::not_loaded("no profile is named so"));
        Self::with(SharedCredentialsProvider::new(provide_credentials_fn(nobody)), [])
    }

    /// Each look where credentials come from finds newer ones: `KEY1`, `KEY2` …
    pub fn renewing(script: impl IntoIterator<Item = Canned>) -> Self {
        let looks = Arc::new(AtomicUsize::new(1));
        let newer = move || {
            let key = format!("KEY{}", looks.fetch_add(1, Ordering::Relaxed));
            async move { Ok(Credentials::new(key, "secret", None, None, "test")) }
        };
        Self::with(SharedCredentialsProvider::new(provide_credentials_fn(newer)), script)
    }

    fn with(provider: SharedCredentialsProvider, script: impl IntoIterator<Item = Canned>) -> Self {
        let line = Line { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Line::default() };
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .credentials_provider(provider)
            .build();
        let aws = Aws::new(&config, SharedHttpConnector::new(line.clone())).expect("a complete configuration");
        Self { aws, line }
    }

    pub async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        self.aws.call(request).await
    }

    pub async fn simulate(&self, asked: &Simulated) -> Result<Vec<Decision>, ApiError> {
        self.aws.simulate(asked).await
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.line.sent.lock().expect("sent").clone()
    }

    #[track_caller]
    pub fn only_sent(&self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }
}

pub fn well(body: impl ToString) -> Canned {
    Canned::Answer { status: 200, body: body.to_string() }
}

/// As services that speak JSON word an error.
pub fn json_error(code: &str, message: &str) -> Canned {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.example#{code}"), "message": message });
    Canned::Answer { status: 400, body: body.to_string() }
}

/// As Elastic Load Balancing and IAM word one.
pub fn xml_error(code: &str, message: &str) -> Canned {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    let body = format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>");
    Canned::Answer { status: 400, body }
}

/// As EC2 words one.
pub fn ec2_error(code: &str, message: &str) -> Canned {
    let error = format!("<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>");
    Canned::Answer { status: 400, body: format!("<Response>{error}<RequestID>1</RequestID></Response>") }
}
