//! Routers, backends and clients for tests. All of them end with the value that holds them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tapit_model::{Backend, Route, RouteTable};
use tapit_router::{Limits, Router, RouterHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// Far longer than anything here takes; a test that waits that long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Aborts its task when dropped.
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A router that serves.
pub struct Running {
    pub addr: SocketAddr,
    pub handle: RouterHandle,
    stop: Option<oneshot::Sender<()>>,
    task: Task,
}

impl Running {
    pub fn start(limits: Limits) -> Self {
        let router = Router::bind_with(loopback(), limits).unwrap();
        let (addr, handle) = (router.local_addr(), router.handle());
        let (stop, stopped) = oneshot::channel();
        let task = Task(tokio::spawn(router.serve(async {
            let _ = stopped.await;
        })));
        Self { addr, handle, stop: Some(stop), task }
    }

    /// A router with one route for any host.
    pub fn to(limits: Limits, backends: &[(&str, SocketAddr)]) -> Self {
        let running = Self::start(limits);
        running.publish(backends);
        running
    }

    pub fn publish(&self, backends: &[(&str, SocketAddr)]) {
        self.handle.publish(one_route(backends));
    }

    pub fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn ended(&mut self) {
        tokio::time::timeout(PATIENCE, &mut self.task.0).await.expect("the router ends").unwrap();
    }

    /// Sends text on a connection of its own and returns all that comes back until it is closed.
    pub async fn ask(&self, text: &str) -> String {
        let mut talk = self.connect().await;
        talk.send(text).await;
        talk.rest().await
    }

    pub async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n")).await
    }

    pub async fn connect(&self) -> Talk {
        Talk { stream: TcpStream::connect(self.addr).await.unwrap() }
    }

    /// Waits until a backend has that many requests in flight.
    pub async fn in_flight(&self, id: &str, wanted: u32) {
        until(&format!("{id} has {wanted} in flight"), || self.handle.in_flight(id) == wanted).await;
    }
}

pub fn one_route(backends: &[(&str, SocketAddr)]) -> RouteTable {
    let backends = backends.iter().map(|(id, addr)| Backend { id: (*id).to_owned(), addr: *addr }).collect();
    let hosts = vec!["shop.localhost".to_owned()];
    RouteTable { routes: vec![Route { name: "shop".to_owned(), hosts, backends, closed: None }], any_host: Some(0) }
}

/// Looks again and again until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what}"));
}

/// A client's connection, byte by byte.
pub struct Talk {
    pub stream: TcpStream,
}

impl Talk {
    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until the other end closes or resets.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "the connection is closed after {:?}", String::from_utf8_lossy(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until a text has come, that included.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        let read = async {
            while !bytes.ends_with(end.as_bytes()) {
                bytes.push(self.stream.read_u8().await.expect("the other end is still there"));
            }
        };
        let done = tokio::time::timeout(PATIENCE, read).await;
        done.unwrap_or_else(|_| panic!("{end:?} comes"));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A backend that speaks HTTP.
pub struct App {
    pub addr: SocketAddr,
    /// Connections that it accepted so far.
    pub connections: Arc<AtomicUsize>,
    _task: Task,
}

impl App {
    pub async fn start<F, B>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        Self::raw(move |stream| {
            let answer = answer.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            }
        })
        .await
    }

    /// A backend that says its name.
    pub async fn named(name: &'static str) -> Self {
        Self::start(move |_| async move { text(name) }).await
    }

    /// A backend that does with a connection whatever it is told.
    pub async fn raw<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            // Connections end with their backend, as they do when a container stops.
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                talks.spawn(talk(stream));
                while talks.try_join_next().is_some() {}
            }
        });
        Self { addr, connections, _task: Task(task) }
    }

    pub fn accepted(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub fn text(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(text.into()))
}

/// An address where nobody listens. The socket keeps others from taking it.
pub struct Nobody {
    pub addr: SocketAddr,
    _socket: TcpSocket,
}

impl Nobody {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        Self { addr: socket.local_addr().unwrap(), _socket: socket }
    }
}

/// Reads the header of a request from a raw connection.
pub async fn read_header(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub fn status(response: &str) -> &str {
    response.get(9..12).unwrap_or("none")
}
