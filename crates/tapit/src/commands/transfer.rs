//! Follows a transfer of an image that the server carries out, from a registry or to one.
//!
//! On a terminal there is a bar for each layer; elsewhere a line for each layer that is there. The transfer is the
//! server's: it goes on when this command is interrupted.

use std::time::Duration;

use tapit_model::{Code, ImageView, Refusal, Transfer, TransferFrame};

use super::Stop;
use super::session::Session;
use super::terminal;
use crate::client::{ClientError, Lines};
use crate::output::{transfer_bars, transfer_lines};

/// Bars are not drawn more often than eyes see.
const PACE: Duration = Duration::from_millis(50);

/// Starts a transfer and tells how far it is. Answers the image once it is through.
pub async fn follow(session: &mut Session<'_, '_>, path: &str) -> Result<ImageView, Stop> {
    let mut lines = session.client.stream(path).await?;
    let mut told = Transfer::default();
    let mut drawn: Option<tokio::time::Instant> = None;
    loop {
        match next(&mut lines).await {
            Ok(Some(TransferFrame::Progress(now))) => {
                if !session.screen.terminals().talk {
                    for line in transfer_lines(&told, &now) {
                        session.screen.say(&line);
                    }
                } else if drawn.is_none_or(|last| last.elapsed() >= PACE) {
                    session.screen.bars(&transfer_bars(&now, terminal::size()));
                    drawn = Some(tokio::time::Instant::now());
                }
                told = now;
            }
            Ok(Some(TransferFrame::Done(image))) => {
                session.screen.bars(&[]);
                return Ok(*image);
            }
            Ok(Some(TransferFrame::Failed(refusal))) => return Err(refusal.into()),
            Ok(None) => return Err(lost("the server ended its answer").into()),
            Err(ClientError::Body { .. } | ClientError::Lost { .. } | ClientError::Slow { .. }) => {
                return Err(lost("the connection to the server was lost").into());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn lost(what: &str) -> Refusal {
    let text = format!("{what} before the transfer was through; where the server still runs, it goes on with it");
    Refusal::new(Code::Unavailable, text)
}

/// Skips the empty lines that are signs of life.
async fn next(lines: &mut Lines) -> Result<Option<TransferFrame>, ClientError> {
    loop {
        let Some(line) = lines.next().await? else { return Ok(None) };
        if !line.is_empty() {
            return lines.parse(&line).map(Some);
        }
    }
}
