//! `/v1/apps/{app}/logs`: what instances wrote, as a stream of JSON lines.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use tapit_model::{InstanceId, LogLineView, Refusal, Since};

use super::Api;
use super::core::{LogPage, LogQuery, LogTime};
use super::errors::ApiError;
use super::extract::{Asked, InApp, process_name};

const DEFAULT_LINES: usize = 100;
const MOST_LINES: usize = 10_000;
/// No identity of an instance is longer.
const LONGEST_ID: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsQuery {
    process: Option<String>,
    instance: Option<String>,
    lines: Option<usize>,
    since: Option<String>,
    #[serde(default)]
    follow: bool,
    resume: Option<String>,
}

impl LogsQuery {
    fn meaning(self, app: tapit_model::AppName) -> Result<LogQuery, ApiError> {
        let lines = self.lines.unwrap_or(DEFAULT_LINES);
        if lines > MOST_LINES {
            return Err(ApiError::usage(format!("lines={lines} is not legal; give a number from 0 to {MOST_LINES}")));
        }
        if self.instance.as_ref().is_some_and(|id| id.is_empty() || id.len() > LONGEST_ID) {
            return Err(ApiError::usage("instance= is not the id of any instance; list them with show process"));
        }
        let time = match (self.follow, self.resume) {
            (true, resume) => LogTime::Onwards { resume },
            (false, None) => LogTime::Past,
            (false, Some(_)) => return Err(ApiError::usage("resume= goes on with a stream; it needs follow=true")),
        };
        Ok(LogQuery {
            app,
            process: self.process.as_deref().map(process_name).transpose()?,
            instance: self.instance.as_deref().map(InstanceId::opaque),
            lines,
            since: self.since.as_deref().map(Since::parse).transpose().map_err(Refusal::usage)?,
            time,
        })
    }
}

/// The last lines of an app's instances, merged by time, one JSON object per line.
///
/// With `follow`, the stream goes on with what is written from then on, also by instances that start later. An object
/// `{"resume": "…"}` stands among its lines wherever a reader that is cut off can go on; an empty line is a sign of
/// life. A stream that is cut off ends without its closing chunk.
#[utoipa::path(
    get, path = "/v1/apps/{app}/logs", tag = "logs",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = Option<String>, Query, description = "only of this process"),
        ("instance" = Option<String>, Query, description = "only of this instance"),
        ("lines" = Option<usize>, Query, description = "0 to 10000 of those written before, 100 when left out"),
        ("since" = Option<String>, Query, description = "only those written since: 10m, 1h30m, or RFC 3339"),
        ("follow" = Option<bool>, Query, description = "go on with lines as they are written"),
        ("resume" = Option<String>, Query, description = "go on where an earlier stream was cut off")
    ),
    responses((status = 200, body = LogLineView, content_type = "application/x-ndjson"))
)]
pub(super) async fn read(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(asked): Asked<LogsQuery>,
) -> Result<Response, ApiError> {
    let pages = api.core.logs(asked.meaning(app)?).await?;
    let text = pages.map(|page| page.map_err(std::io::Error::other).and_then(|page| Ok(json_lines(&page)?)));
    let head = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(text)).into_response())
}

/// One object per line; an empty page is an empty line.
fn json_lines(page: &LogPage) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in &page.lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    if let Some(resume) = &page.resume {
        serde_json::to_writer(&mut text, &serde_json::json!({ "resume": resume }))?;
        text.push(b'\n');
    }
    if text.is_empty() {
        text.push(b'\n');
    }
    Ok(text)
}
