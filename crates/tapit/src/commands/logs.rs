//! Logs, once or as they are written.
//!
//! While following, lines are printed once the server has said where to go on behind them. When the connection is lost,
//! what was not printed is asked for again and what was printed is not, so no line is lost and none comes twice.

use std::time::Duration;

use serde::Deserialize;
use tapit_model::{Code, LogLineView, Refusal};
use tokio::time::Instant;

use super::Stop;
use super::session::Session;
use crate::client::{Client, ClientError, Lines, query};
use crate::invocation::{Format, LogsWanted, Reading};
use crate::output::LogLines;

/// For how long a server that went away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// More than any server holds back of a history.
const MAX_HELD: usize = 64 * 1024 * 1024;

/// What stands on one line of the stream.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Record {
    Line(LogLineView),
    Resume { resume: String },
}

/// The query of a reading.
type Pairs = Vec<(&'static str, String)>;

/// Lines that came and are not printed yet.
#[derive(Default)]
struct Held {
    lines: Vec<LogLineView>,
    bytes: usize,
}

pub async fn logs(session: &mut Session<'_, '_>, wanted: &LogsWanted) -> Result<(), Stop> {
    let app = session.app().await?;
    let place = format!("/v1/apps/{app}/logs");
    let mut pairs = Pairs::new();
    pairs.extend(wanted.process.as_ref().map(|process| ("process", process.to_string())));
    pairs.extend(wanted.instance.as_ref().map(|instance| ("instance", instance.clone())));
    pairs.extend(wanted.since.as_ref().map(|since| ("since", since.clone())));
    pairs.push(("lines", wanted.lines.to_string()));
    match wanted.reading {
        Reading::Snapshot => {
            let lines = session.client.lines(&format!("{place}{}", query(&pairs))).await?;
            once(session, lines).await
        }
        Reading::Following => {
            pairs.push(("follow", "true".to_owned()));
            follow(session, place, pairs).await
        }
    }
}

async fn once(session: &mut Session<'_, '_>, mut lines: Lines) -> Result<(), Stop> {
    let mut layout = LogLines::default();
    while let Some(record) = next(&mut lines).await? {
        if let Record::Line(line) = record {
            print(session, &mut layout, &[line])?;
        }
    }
    Ok(())
}

/// Until nothing more can come, which for a whole app is never.
async fn follow(session: &mut Session<'_, '_>, place: String, pairs: Pairs) -> Result<(), Stop> {
    let mut layout = LogLines::default();
    let mut follower = Follower::open(&session.client, place, pairs).await?;
    while let Some(lines) = follower.next(&session.client).await? {
        print(session, &mut layout, &lines)?;
        session.screen.flush()?;
    }
    Ok(())
}

/// Reads logs as they are written, over lost connections.
pub struct Follower {
    place: String,
    pairs: Pairs,
    lines: Lines,
    resume: Option<String>,
    held: Held,
    ended: bool,
}

impl Follower {
    pub async fn open(client: &Client, place: String, pairs: Pairs) -> Result<Self, Stop> {
        let lines = client.lines(&format!("{place}{}", query(&pairs))).await?;
        Ok(Self { place, pairs, lines, resume: None, held: Held::default(), ended: false })
    }

    /// The next lines, which never come again; `None` when nothing more can come. Nothing is lost when it is dropped before
    /// it has answered.
    pub async fn next(&mut self, client: &Client) -> Result<Option<Vec<LogLineView>>, Stop> {
        while !self.ended {
            match next(&mut self.lines).await {
                Ok(Some(Record::Line(line))) => {
                    self.held.bytes += line.text.len();
                    self.held.lines.push(line);
                    if self.held.bytes <= MAX_HELD {
                        continue;
                    }
                }
                Ok(Some(Record::Resume { resume })) => self.resume = Some(resume),
                Ok(None) => self.ended = true,
                Err(lost) => {
                    let onward = self.resume.iter().map(|place| ("resume", place.clone()));
                    let pairs: Vec<_> = self.pairs.iter().cloned().chain(onward).collect();
                    self.lines = again(client, &format!("{}{}", self.place, query(&pairs)), lost).await?;
                    // What was not handed on comes again.
                    self.held = Held::default();
                    continue;
                }
            }
            return Ok(Some(std::mem::take(&mut self.held).lines));
        }
        Ok(None)
    }
}

/// Opens the stream again, as soon as there is a server that lets us.
async fn again(client: &Client, path: &str, lost: ClientError) -> Result<Lines, Stop> {
    let end = Instant::now() + PATIENCE;
    let mut error = lost;
    loop {
        match &error {
            ClientError::Connect { .. }
            | ClientError::Lost { .. }
            | ClientError::Body { .. }
            | ClientError::Slow { .. } => {}
            ClientError::Refused(refusal) if refusal.code == Code::Unavailable => {}
            ClientError::Tls { .. }
            | ClientError::Answer { .. }
            | ClientError::Request { .. }
            | ClientError::Refused(_) => return Err(error.into()),
        }
        if Instant::now() >= end {
            let refusal = Refusal::from(error);
            let text = format!("{}; waited {} s for the server to come back", refusal.message, PATIENCE.as_secs());
            return Err(Refusal::new(Code::Unavailable, text).into());
        }
        tokio::time::sleep(PAUSE).await;
        match tokio::time::timeout_at(end + PAUSE, client.lines(path)).await {
            Ok(Ok(lines)) => return Ok(lines),
            Ok(Err(failed)) => error = failed,
            // The time is up; the error before this attempt says why.
            Err(_) => {}
        }
    }
}

/// Skips the empty lines that are signs of life.
async fn next(lines: &mut Lines) -> Result<Option<Record>, ClientError> {
    loop {
        let Some(line) = lines.next().await? else { return Ok(None) };
        if !line.is_empty() {
            return lines.parse(&line).map(Some);
        }
    }
}

fn print(session: &mut Session<'_, '_>, layout: &mut LogLines, lines: &[LogLineView]) -> Result<(), Stop> {
    let colour = session.screen.colour();
    for line in lines {
        let text = match session.format() {
            Format::Table => layout.render(line, colour),
            Format::Json => {
                let json = serde_json::to_string(line);
                json.map_err(|error| Refusal::failed(format!("cannot write JSON: {error}")))? + "\n"
            }
        };
        session.screen.print(&text)?;
    }
    Ok(())
}
