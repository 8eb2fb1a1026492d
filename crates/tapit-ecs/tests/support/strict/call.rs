//! A call to AWS as it comes over the wire, and a refusal in the form that AWS gives it.

use std::collections::BTreeMap;

use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::Whole;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Ecs,
    Ecr,
    Logs,
    Elb,
    Ec2,
    Iam,
    Sts,
}

/// Parameters by their names, nested ones with dots: `Subnets.member.1`.
pub type Form = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub enum Input {
    Json(Value),
    Form(Form),
}

#[derive(Debug, Clone)]
pub struct Call {
    pub service: Service,
    /// `CreateService`
    pub operation: String,
    pub input: Input,
}

/// What AWS says when it does not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }
}

impl Call {
    /// `None` for what is no call to a service that we know: the data plane of load balancers, the registry.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some((service, operation)) = text("x-amz-target").and_then(|target| target.rsplit_once('.')) {
            let service = match service.split('_').next()? {
                "AmazonEC2ContainerServiceV20141113" => Service::Ecs,
                "AmazonEC2ContainerRegistry" => Service::Ecr,
                "Logs" => Service::Logs,
                _ => return None,
            };
            let input = Input::Json(serde_json::from_slice(body).ok()?);
            return Some(Self { service, operation: operation.to_owned(), input });
        }
        text("content-type").filter(|kind| kind.starts_with("application/x-www-form-urlencoded"))?;
        let form = form(std::str::from_utf8(body).ok()?);
        let service = match form.get("Version")?.as_str() {
            "2015-12-01" => Service::Elb,
            "2016-11-15" => Service::Ec2,
            "2010-05-08" => Service::Iam,
            "2011-06-15" => Service::Sts,
            _ => return None,
        };
        Some(Self { service, operation: form.get("Action")?.clone(), input: Input::Form(form) })
    }

    /// As policies name it: `ecs:CreateService`.
    pub fn permission(&self) -> String {
        let service = match self.service {
            Service::Ecs => "ecs",
            Service::Ecr => "ecr",
            Service::Logs => "logs",
            Service::Elb => "elasticloadbalancing",
            Service::Ec2 => "ec2",
            Service::Iam => "iam",
            Service::Sts => "sts",
        };
        format!("{service}:{}", self.operation)
    }

    /// The refusal as this service puts it.
    pub fn refused(&self, refusal: &Refusal) -> Response<Whole> {
        let Refusal { status, code, message } = refusal;
        let message_xml = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (kind, body) = match self.service {
            Service::Ecs | Service::Ecr | Service::Logs => {
                ("application/x-amz-json-1.1", json!({"__type": code, "message": message}).to_string())
            }
            Service::Elb | Service::Iam | Service::Sts => (
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message_xml}</Message></Error>\
                     <RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
                ),
            ),
            Service::Ec2 => (
                "text/xml;charset=UTF-8",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
                     <Message>{message_xml}</Message></Error></Errors>\
                     <RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
                ),
            ),
        };
        let mut response = Response::new(Whole::from(body));
        *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
        response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("a content type"));
        response
    }

    /// Too many calls, in this service's words.
    pub fn throttled(&self) -> Refusal {
        match self.service {
            Service::Ecs | Service::Ecr | Service::Logs => Refusal::new("ThrottlingException", "Rate exceeded"),
            Service::Elb | Service::Iam | Service::Sts => Refusal::new("Throttling", "Rate exceeded"),
            Service::Ec2 => {
                Refusal { status: 503, code: "RequestLimitExceeded", message: "Request limit exceeded.".into() }
            }
        }
    }
}

/// The members of a list parameter: `Names` for `Names.member.1`, `Names.member.2` …
pub fn members<'a>(form: &'a Form, name: &str) -> Vec<&'a str> {
    (1..).map_while(|n| form.get(&format!("{name}.member.{n}"))).map(String::as_str).collect()
}

fn form(body: &str) -> Form {
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
