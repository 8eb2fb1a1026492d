//! Tells whoever asked for a transfer how far it is: some frames a second at most, the last one with the outcome.
//!
//! The work runs in a task of its own. It goes on when nobody listens any more: others may wait for the same image.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tapit_engine::TransferWatch;
use tapit_model::{Code, ImageView, Refusal, Transfer, TransferFrame};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

use crate::api::TransferFrames;
use crate::hub::Hub;

/// Between two frames.
const PACE: Duration = Duration::from_millis(100);
/// After so long without news an empty line says that somebody is there.
const QUIET: Duration = Duration::from_secs(15);

struct Telling {
    hub: Arc<Hub>,
    work: JoinHandle<Result<ImageView, Refusal>>,
    state: watch::Receiver<Transfer>,
    told: Transfer,
    last: Instant,
    /// How it ended, while the last news are still to be told.
    end: Option<TransferFrame>,
    over: bool,
}

/// Starts the work and tells of it.
pub fn frames<F>(hub: &Arc<Hub>, work: impl FnOnce(TransferWatch) -> F) -> TransferFrames
where
    F: Future<Output = Result<ImageView, Refusal>> + Send + 'static,
{
    let (sender, state) = watch::channel(Transfer::default());
    let telling = Telling {
        hub: Arc::clone(hub),
        work: tokio::spawn(work(sender)),
        state,
        told: Transfer::default(),
        last: Instant::now(),
        end: None,
        over: false,
    };
    Box::pin(stream::unfold(telling, async |mut telling| {
        if telling.over {
            return None;
        }
        let frame = telling.next().await;
        Some((frame, telling))
    }))
}

impl Telling {
    /// The next frame; `None` is a sign of life.
    async fn next(&mut self) -> Option<TransferFrame> {
        if let Some(end) = self.end.take() {
            self.over = true;
            return Some(end);
        }
        loop {
            let quiet = self.last + QUIET;
            tokio::select! {
                biased;
                done = &mut self.work => return Some(self.ended(done)),
                () = closed(&self.hub) => {
                    self.over = true;
                    let text = "the server is shutting down; ask again when it is back, and what was fetched so far is kept";
                    return Some(TransferFrame::Failed(Refusal::new(Code::Unavailable, text)));
                }
                () = news(&mut self.state, self.last + PACE) => {
                    let now = self.state.borrow_and_update().clone();
                    if now != self.told {
                        self.told = now.clone();
                        self.last = Instant::now();
                        return Some(TransferFrame::Progress(now));
                    }
                }
                () = sleep_until(quiet) => {
                    self.last = Instant::now();
                    return None;
                }
            }
        }
    }

    /// The work has ended: what is news goes out before the outcome.
    fn ended(&mut self, done: Result<Result<ImageView, Refusal>, JoinError>) -> TransferFrame {
        let end = match done {
            Ok(Ok(image)) => TransferFrame::Done(Box::new(image)),
            Ok(Err(refusal)) => TransferFrame::Failed(refusal),
            Err(error) => {
                tracing::error!(%error, "a transfer of an image broke off");
                let text = "the transfer broke off, by a bug of tapit; the server's log says more";
                TransferFrame::Failed(Refusal::failed(text))
            }
        };
        let last = self.state.borrow_and_update().clone();
        if last == self.told {
            self.over = true;
            return end;
        }
        self.end = Some(end);
        TransferFrame::Progress(last)
    }
}

/// Returns when there is something new, and not before its time.
async fn news(state: &mut watch::Receiver<Transfer>, time: Instant) {
    if state.changed().await.is_err() {
        // The work is about to end; that is waited for elsewhere.
        std::future::pending::<()>().await;
    }
    state.mark_changed();
    sleep_until(time).await;
}

async fn closed(hub: &Hub) {
    let mut passes = hub.passes();
    while !hub.is_closing() && passes.changed().await.is_ok() {}
}
