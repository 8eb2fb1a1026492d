//! What instances use: measured twice a second apart, or again and again on a terminal.

use std::time::Duration;

use tapit_model::{AppName, InstanceUsageView, ProcessName, Refusal};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Stop;
use super::session::Session;
use crate::client::query;
use crate::invocation::{Format, Reading};
use crate::output::{top_rows, top_screen, top_table};
use crate::terminal::Drawing;

/// Between two measurements.
const INTERVAL: Duration = Duration::from_secs(1);

pub async fn top(session: &mut Session<'_, '_>, process: Option<ProcessName>, reading: Reading) -> Result<(), Stop> {
    let app = session.app().await?;
    let pairs: Vec<_> = process.map(|name| ("process", name.to_string())).into_iter().collect();
    let path = format!("/v1/apps/{app}/usage{}", query(&pairs));
    let terminals = session.screen.terminals();
    let drawn = terminals.input && terminals.output && session.format() == Format::Table;
    match reading {
        Reading::Following if drawn => watch(session, &app, &path).await,
        Reading::Following | Reading::Snapshot => {
            let before = measure(session, &path).await?;
            tokio::time::sleep(INTERVAL).await;
            let rows = top_rows(&before, &measure(session, &path).await?);
            session.show(rows.as_slice(), top_table)
        }
    }
}

async fn measure(session: &Session<'_, '_>, path: &str) -> Result<Vec<InstanceUsageView>, Stop> {
    Ok(session.client.get(path).await?)
}

/// Draws until somebody has seen enough. The terminal is given back as it was, also on an error.
async fn watch(session: &mut Session<'_, '_>, app: &AppName, path: &str) -> Result<(), Stop> {
    let mut before = measure(session, path).await?;
    let failed = |error| Refusal::failed(format!("cannot prepare the terminal: {error}"));
    let (mut interrupted, mut ended) =
        (listen(SignalKind::interrupt()).map_err(failed)?, listen(SignalKind::terminate()).map_err(failed)?);
    let mut drawing = Drawing::begin().map_err(failed)?;
    session.screen.print(Drawing::ENTER)?;
    let outcome = async {
        loop {
            let after = measure(session, path).await?;
            let text = top_screen(app, &top_rows(&before, &after), drawing.lines(), session.screen.colour());
            session.screen.print(&text)?;
            session.screen.flush()?;
            before = after;
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = drawing.quit() => return Ok(()),
                _ = interrupted.recv() => return Ok(()),
                _ = ended.recv() => return Ok(()),
            }
        }
    }
    .await;
    session.screen.print(Drawing::LEAVE)?;
    session.screen.flush()?;
    drop(drawing);
    outcome
}

fn listen(kind: SignalKind) -> std::io::Result<Signal> {
    signal(kind)
}
