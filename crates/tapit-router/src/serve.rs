//! Accepts clients, serves their connections, and ends in an orderly way.
//!
//! ```text
//! serving ──shutdown──▶ draining ──all ended, or deadline──▶ closed
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep_until;

use crate::client::{Client, Verdict, Watched};
use crate::proxy;
use crate::registry::Shared;

/// Pause after a failed accept; most fail for want of file descriptors, which need time to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often idle connections to backends are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long connections may take to go once they were told that the time is over.
const LAST_CALL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Closed,
}

/// A connection's place among the router's connections, and its view of the router's phase. Every task that serves a
/// client holds a copy; the router has ended when none is left.
#[derive(Clone)]
pub(crate) struct Pass {
    phase: watch::Receiver<Phase>,
    _open: mpsc::Sender<Infallible>,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Pass {
    /// Resolves when the connection has to go at once.
    pub(crate) async fn expired(&mut self) {
        // An error means that the router itself is gone.
        let _ = self.phase.wait_for(|phase| *phase == Phase::Closed).await;
    }

    /// Resolves when the connection should take no more requests.
    async fn draining(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase != Phase::Serving).await;
    }
}

pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let (phase, seen) = watch::channel(Phase::Serving);
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let permits = Arc::new(Semaphore::new(shared.limits.connections));
    let mut sweeps = tokio::time::interval(SWEEP_EVERY);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            _ = sweeps.tick() => shared.sweep(),
            accepted = accept(&listener, &permits) => {
                if let Some((stream, peer, permit)) = accepted {
                    let pass = Pass { phase: seen.clone(), _open: open.clone(), _permit: Arc::new(permit) };
                    let client = Arc::new(Client::new(peer.ip(), pass));
                    tokio::spawn(serve_client(stream, Arc::clone(&shared), client));
                }
            }
        }
    }
    drop(listener);
    drop(open);
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(shared.limits.drain, all_closed.recv()).await.is_err() {
        tracing::warn!("connections were closed that had not ended in time");
        phase.send_replace(Phase::Closed);
        let _ = tokio::time::timeout(LAST_CALL, all_closed.recv()).await;
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_client(stream: TcpStream, shared: Arc<Shared>, client: Arc<Client>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let service = service_fn(|request: Request<Incoming>| {
        let (busy, framing) = client.begin();
        proxy::answer(Arc::clone(&shared), Arc::clone(&client), proxy::Asked { request, framing, busy })
    });
    let connection = http1::Builder::new()
        .max_buf_size(shared.limits.header_bytes)
        // Watched by `Client`, which tells a slow header from an idle connection.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&client))), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let (mut draining, mut expired) = (client.pass().clone(), client.pass().clone());
    let mut told = false;
    let mut look = std::pin::pin!(sleep_until(client.next_look(&shared.limits)));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %client.peer(), %error, "a client's connection ended");
                }
                return;
            }
            () = look.as_mut() => match client.verdict(&shared.limits) {
                Verdict::Wait(until) => look.as_mut().reset(until),
                Verdict::Close(reason) => {
                    tracing::debug!(peer = %client.peer(), reason, "closed a client's connection");
                    return;
                }
            },
            () = draining.draining(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            () = expired.expired() => return,
        }
    }
}
