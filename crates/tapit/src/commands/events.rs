//! Events, once or as they come.

use std::time::Duration;

use tapit_model::{EventView, ProcessName, Refusal};

use super::Stop;
use super::session::Session;
use crate::client::query;
use crate::invocation::{Format, Reading};
use crate::output::{event_lines, events_table};

/// How often a follower looks.
const PAUSE: Duration = Duration::from_millis(500);
/// More events than this between two looks are read in several.
const BATCH: u32 = 1000;

/// Where events are read.
struct Place(Vec<(&'static str, String)>);

impl Place {
    async fn read(&self, session: &Session<'_, '_>, more: &[(&'static str, String)]) -> Result<Vec<EventView>, Stop> {
        let pairs: Vec<_> = self.0.iter().chain(more).cloned().collect();
        let mut events: Vec<EventView> = session.client.get(&format!("/v1/events{}", query(&pairs))).await?;
        events.sort_by_key(|event| event.id);
        Ok(events)
    }
}

pub async fn events(
    session: &mut Session<'_, '_>,
    process: Option<ProcessName>,
    lines: u32,
    reading: Reading,
) -> Result<(), Stop> {
    // A process has a name within its app only; without one, all apps may be meant.
    let app = match &process {
        Some(_) => Some(session.app().await?),
        None => session.named_app()?,
    };
    let app = app.map(|app| ("app", app.to_string()));
    let place = Place(app.into_iter().chain(process.map(|name| ("process", name.to_string()))).collect());
    let events = place.read(session, &[("limit", lines.to_string())]).await?;
    match reading {
        Reading::Snapshot => session.show(events.as_slice(), events_table),
        Reading::Following => follow(session, &place, events).await,
    }
}

async fn follow(session: &mut Session<'_, '_>, place: &Place, mut events: Vec<EventView>) -> Result<(), Stop> {
    let mut last = 0;
    loop {
        last = events.last().map_or(last, |event| event.id);
        if !events.is_empty() {
            let text = match session.format() {
                Format::Table => event_lines(&events),
                Format::Json => json_lines(&events)?,
            };
            session.screen.print(&text)?;
            session.screen.flush()?;
        }
        if events.len() < BATCH as usize {
            tokio::time::sleep(PAUSE).await;
        }
        events = place.read(session, &[("after", last.to_string()), ("limit", BATCH.to_string())]).await?;
    }
}

fn json_lines(events: &[EventView]) -> Result<String, Stop> {
    let mut text = String::new();
    for event in events {
        let line = serde_json::to_string(event).map_err(|e| Refusal::failed(format!("cannot write JSON: {e}")))?;
        text += &line;
        text.push('\n');
    }
    Ok(text)
}
