//! The HTTP/1.1 reverse proxy: takes requests from outside to the instances that a `RouteTable` names.
//!
//! The server binds one [`Router`], keeps its [`RouterHandle`] and runs [`Router::serve`]. The table is a value that is
//! swapped by [`RouterHandle::publish`]; an instance that is about to stop is taken out by [`RouterHandle::withdraw`],
//! and [`RouterHandle::in_flight`] tells when the last request to it has ended.
//!
//! A request passes through these files: `serve` accepts the connection and `client` watches it, `screen` finds what is
//! malformed, `search` chooses a backend from `table` or holds the request, `attempt` tries one over a connection of
//! `backend`, `proxy` decides whether to try another, and `response` streams the answer back. `headers`, `payload`,
//! `upgrade` and `refusal` hold what their names say; `registry` is where tables, withdrawn ids and counts live.
//!
//! What it does not do: it knows no apps, processes or health; it terminates no TLS; it caches and compresses nothing.
//! A client that closes its sending side before it has the answer is taken to be gone, so that an instance does not work
//! for nobody.

mod attempt;
mod backend;
mod client;
mod headers;
mod limits;
mod payload;
mod proxy;
mod refusal;
mod registry;
mod response;
mod scan;
mod screen;
mod search;
mod serve;
mod stats;
mod table;
mod upgrade;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tapit_model::RouteTable;
use tokio::net::{TcpListener, TcpSocket};

pub use limits::Limits;
pub use stats::Counts;

use registry::Shared;

/// How many connections the kernel may hold that were not accepted yet.
const BACKLOG: u32 = 1024;

#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error("cannot listen for HTTP on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
}

/// A bound router that does not serve yet.
pub struct Router {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Router {
    /// Binds with the default [`Limits`]. Must be called within a tokio runtime. Port 0 takes a free port.
    pub fn bind(addr: SocketAddr) -> Result<Self, RouterError> {
        Self::bind_with(addr, Limits::default())
    }

    pub fn bind_with(addr: SocketAddr, limits: Limits) -> Result<Self, RouterError> {
        let listener = listen(addr).map_err(|source| RouterError::Listen { addr, source })?;
        let local_addr = listener.local_addr().map_err(|source| RouterError::Listen { addr, source })?;
        Ok(Self { listener, local_addr, shared: Arc::new(Shared::new(limits)) })
    }

    /// Where it listens; with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub fn handle(&self) -> RouterHandle {
        RouterHandle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until `shutdown` resolves, then accepts no more, lets what is in flight end for at most
    /// [`Limits::drain`], and closes the rest.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        serve::run(self.listener, self.shared, shutdown).await;
    }
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it: a client that vanished without a word is noticed in the end.
    socket.set_keepalive(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Steers a router from any task or thread; none of its calls waits for the network.
#[derive(Clone)]
pub struct RouterHandle {
    shared: Arc<Shared>,
}

impl RouterHandle {
    /// Swaps the table. Ids that were withdrawn are left out. Once it returns, a backend that the table does not name gets
    /// no new request; requests that were held for want of a backend look again.
    pub fn publish(&self, table: RouteTable) {
        self.shared.publish(table);
    }

    /// Takes a backend out of every route for ever. Once it returns, no request is sent to it that [`Self::in_flight`]
    /// did not already count.
    pub fn withdraw(&self, id: &str) {
        self.shared.withdraw(id);
    }

    /// Whether new requests may go to the backend.
    pub fn is_routed(&self, id: &str) -> bool {
        self.shared.is_routed(id)
    }

    /// Requests under way to the backend: until the last byte of the response has been taken from it, or, after an
    /// upgrade, until both ends have closed.
    pub fn in_flight(&self, id: &str) -> u32 {
        self.shared.in_flight(id)
    }

    /// What became of the requests of a route since the router started; zeros for a route that it never had.
    pub fn counts(&self, route_name: &str) -> Counts {
        self.shared.counts(route_name)
    }
}
