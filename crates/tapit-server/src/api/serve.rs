//! The connections of the API: bounded in number, in the time of a request head, and in the time that a shutdown takes.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::exec::Sessions;
use super::guard::Door;
use super::spool::Limits;
use super::{Api, Core, router};

/// Further connections wait in the kernel's queue.
const CONNECTIONS: usize = 512;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 64 * 1024;
/// How long requests in flight may take once the server is to end.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to rest when a connection cannot be accepted, as when descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves the unix socket until `shutdown`. Only the server's own user and root are answered.
pub async fn serve_unix(listener: UnixListener, core: Arc<dyn Core>, shutdown: impl Future<Output = ()> + Send) {
    let own = nix::unistd::geteuid().as_raw();
    let api = Api { core, limits: Limits::default(), sessions: Sessions::default() };
    let (welcome, sessions) = (router(api.clone(), Door::Unix), api.sessions.clone());
    serve(UnixEntrance { listener, own, api, welcome }, shutdown).await;
    sessions.ended().await;
}

/// Serves a TCP listener until `shutdown`. With a token, every request must carry it.
pub async fn serve_tcp(
    listener: TcpListener,
    core: Arc<dyn Core>,
    token: Option<String>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let sessions = Sessions::default();
    let api = Api { core, limits: Limits::default(), sessions: sessions.clone() };
    let service = router(api, Door::Tcp { token });
    serve(TcpEntrance { listener, service }, shutdown).await;
    sessions.ended().await;
}

/// Where connections come from, each with what answers it.
trait Entrance: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Router)>> + Send;
}

struct UnixEntrance {
    listener: UnixListener,
    own: u32,
    api: Api,
    welcome: Router,
}

impl Entrance for UnixEntrance {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Router)> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        let service = if uid == self.own || uid == 0 {
            self.welcome.clone()
        } else {
            router(self.api.clone(), Door::Stranger { uid })
        };
        Ok((stream, service))
    }
}

struct TcpEntrance {
    listener: TcpListener,
    service: Router,
}

impl Entrance for TcpEntrance {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Router)> {
        let (stream, _) = self.listener.accept().await?;
        // Answers are small and single: waiting to fill a segment only delays them.
        stream.set_nodelay(true)?;
        Ok((stream, self.service.clone()))
    }
}

/// Accepts until told to stop, then lets requests in flight end, then cuts off what is left.
async fn serve(entrance: impl Entrance, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let (stop, stopped) = watch::channel(());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // The semaphore is never closed, so a place is always given in the end.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, entrance.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, service)) => {
                    let connection = connection(stream, service, stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the API");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
}

pub(super) async fn connection<S>(stream: S, service: Router, mut stopped: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let mut serving =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades());
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API broke off");
    }
}
