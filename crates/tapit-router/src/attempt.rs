//! One attempt to have a request answered by one backend. It tells how far it came; what follows from that is decided
//! in `proxy`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::backend::{Backend, Sender};
use crate::limits::Limits;
use crate::payload::{Outgoing, Progress};

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no connection to {addr} within {limit:?}")]
    ConnectTimeout { addr: SocketAddr, limit: Duration },
    #[error("cannot connect to {addr}")]
    Connect { addr: SocketAddr, source: io::Error },
    #[error("{addr} closed the connection before the request was sent")]
    ClosedBefore { addr: SocketAddr, source: hyper::Error },
    #[error("{addr} gave no proper answer")]
    NoAnswer { addr: SocketAddr, source: hyper::Error },
    /// Not the backend's failure: it was taken out of the routes while it was being connected to.
    #[error("{addr} was withdrawn")]
    Withdrawn { addr: SocketAddr },
}

/// Which connections will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// An idle one, if it was used that recently.
    Within(Duration),
    Never,
}

/// Whether the connection had carried a request before: a failure then says nothing about the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    Fresh,
    Reused,
}

/// How far an attempt came.
pub(crate) enum Outcome {
    Answered(Response<Incoming>, Sender),
    /// Not a byte of the request was sent.
    Unsent(Request<Outgoing>, Fault),
    /// The request may have been sent; no answer came.
    Lost(Fault, Connection),
    /// The answer did not begin in time.
    Late,
}

/// What an attempt goes by.
pub(crate) struct Terms<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) reuse: Reuse,
    /// Of the request's body, when it streams.
    pub(crate) progress: Option<&'a Arc<Progress>>,
}

pub(crate) async fn attempt(backend: &Backend, request: Request<Outgoing>, terms: &Terms<'_>) -> Outcome {
    let addr = backend.addr();
    let mut request = request;
    if let Reuse::Within(age) = terms.reuse
        && let Some(sender) = backend.take_idle(age)
    {
        match send(sender, request, terms).await {
            Sent::Answered(response, sender) => return Outcome::Answered(response, sender),
            Sent::Lost(source) => return Outcome::Lost(Fault::NoAnswer { addr, source }, Connection::Reused),
            Sent::Late => return Outcome::Late,
            // The backend had closed it just before; a fresh one will do.
            Sent::Back(unsent, _) => request = *unsent,
        }
    }
    let sender = match connect(addr, terms.limits.connect).await {
        Ok(sender) => sender,
        Err(fault) => return Outcome::Unsent(request, fault),
    };
    if !backend.is_open() {
        return Outcome::Unsent(request, Fault::Withdrawn { addr });
    }
    match send(sender, request, terms).await {
        Sent::Answered(response, sender) => Outcome::Answered(response, sender),
        Sent::Lost(source) => Outcome::Lost(Fault::NoAnswer { addr, source }, Connection::Fresh),
        Sent::Late => Outcome::Late,
        Sent::Back(unsent, source) => Outcome::Unsent(*unsent, Fault::ClosedBefore { addr, source }),
    }
}

async fn connect(addr: SocketAddr, limit: Duration) -> Result<Sender, Fault> {
    let stream = tokio::time::timeout(limit, TcpStream::connect(addr))
        .await
        .map_err(|_| Fault::ConnectTimeout { addr, limit })?
        .map_err(|source| Fault::Connect { addr, source })?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%addr, %error, "cannot switch off Nagle's algorithm");
    }
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|source| Fault::ClosedBefore { addr, source })?;
    // Ends when the sender is dropped, or handed over to an upgrade.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%addr, %error, "a connection to a backend ended");
        }
    });
    Ok(sender)
}

enum Sent {
    Answered(Response<Incoming>, Sender),
    Back(Box<Request<Outgoing>>, hyper::Error),
    Lost(hyper::Error),
    Late,
}

async fn send(mut sender: Sender, request: Request<Outgoing>, terms: &Terms<'_>) -> Sent {
    let started = Instant::now();
    let limits = terms.limits;
    let deadline = || match terms.progress {
        Some(progress) => progress.deadline(limits),
        None => started + limits.response_header,
    };
    let mut answer = std::pin::pin!(sender.try_send_request(request));
    loop {
        // The deadline of an upload moves either way while we wait, so it is looked at more often than it can pass.
        let look = deadline().min(Instant::now() + limits.response_header.min(limits.stall));
        match tokio::time::timeout_at(look, &mut answer).await {
            Ok(Ok(response)) => return Sent::Answered(response, sender),
            Ok(Err(mut failed)) => {
                return match failed.take_message() {
                    Some(unsent) => Sent::Back(Box::new(unsent), failed.into_error()),
                    None => Sent::Lost(failed.into_error()),
                };
            }
            Err(_) if Instant::now() < deadline() => {}
            Err(_) => return Sent::Late,
        }
    }
}
