//! Calls of CloudWatch Logs.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tapit_model::Timestamp;

use super::wire::{Service, Wire};
use super::{gone, there};
use crate::api::{Answer, ApiError, LogEvent, LogEventsOf, LogFrom, Operation, Tags};

#[derive(Debug)]
pub struct Logs {
    wire: Arc<Wire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    events: Vec<Event>,
    next_forward_token: String,
}

#[derive(Deserialize)]
struct Event {
    /// Milliseconds since 1970.
    timestamp: i64,
    #[serde(default)]
    message: String,
}

impl Logs {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    pub async fn create_group(&self, name: String, tags: Tags) -> Result<Answer, ApiError> {
        let mut body = json!({ "logGroupName": name });
        if !tags.is_empty() {
            body["tags"] = json!(tags);
        }
        there(self.send(Operation::CreateLogGroup, "CreateLogGroup", body).await)
    }

    pub async fn set_retention(&self, name: String, days: u16) -> Result<Answer, ApiError> {
        let body = json!({ "logGroupName": name, "retentionInDays": days });
        self.send(Operation::PutRetentionPolicy, "PutRetentionPolicy", body).await.map(|()| Answer::Done)
    }

    pub async fn delete_group(&self, name: String) -> Result<Answer, ApiError> {
        gone(self.send(Operation::DeleteLogGroup, "DeleteLogGroup", json!({ "logGroupName": name })).await)
    }

    pub async fn events(&self, of: LogEventsOf) -> Result<Answer, ApiError> {
        let asked = (Operation::GetLogEvents, Service::Logs);
        let page: Page = self.wire.json(asked, "Logs_20140328.GetLogEvents", events_body(of)).await?;
        let event = |event: Event| LogEvent { at: Timestamp(event.timestamp), message: event.message };
        Ok(Answer::LogEvents { events: page.events.into_iter().map(event).collect(), next: page.next_forward_token })
    }

    async fn send(&self, operation: Operation, action: &str, body: Value) -> Result<(), ApiError> {
        let target = format!("Logs_20140328.{action}");
        self.wire.json::<IgnoredAny>((operation, Service::Logs), &target, body).await.map(drop)
    }
}

fn events_body(of: LogEventsOf) -> Value {
    let mut body = json!({ "logGroupName": of.group, "logStreamName": of.stream, "limit": of.limit });
    // A token goes on in the direction that it came from, and AWS wants to be told that again.
    body["startFromHead"] = json!(match of.after {
        LogFrom::End => false,
        LogFrom::Start | LogFrom::Token(_) => true,
    });
    if let LogFrom::Token(token) = of.after {
        body["nextToken"] = json!(token);
    }
    if let Some(Timestamp(since)) = of.since {
        body["startTime"] = json!(since.max(0));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_asked_for_from_the_end_from_the_start_and_from_where_the_last_reading_ended() {
        let of = |after| LogEventsOf { group: "g".into(), stream: "s".into(), after, since: None, limit: 5 };
        let common = json!({ "logGroupName": "g", "logStreamName": "s", "limit": 5, "startFromHead": false });
        assert_eq!(events_body(of(LogFrom::End)), common);
        assert_eq!(events_body(of(LogFrom::Start))["startFromHead"], true);
        let after = events_body(of(LogFrom::Token("f/1".to_owned())));
        assert_eq!((&after["nextToken"], &after["startFromHead"]), (&json!("f/1"), &json!(true)));
        let since = LogEventsOf { since: Some(Timestamp(1_000)), ..of(LogFrom::Start) };
        assert_eq!(events_body(since)["startTime"], 1_000);
    }
}
