//! Backends are replaced one after another under load, and no request is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tapit_router::Limits;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{App, Running, text, until};

const CLIENTS: usize = 24;
const REPLACEMENTS: usize = 60;

/// Sends the body back; a short one most of the time, now and then one that takes several writes.
async fn instance() -> App {
    App::start(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        text(body)
    })
    .await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    KeepsItsConnection,
    ConnectsAnew,
}

async fn open(router: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(router).await.expect("the router accepts");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a client connection");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

async fn hammer(router: std::net::SocketAddr, habit: Habit, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let mut kept: Option<SendRequest<Full<Bytes>>> = None;
    let mut round = 0usize;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => open(router).await,
        };
        sender.ready().await.expect("the router keeps the connection");
        let method = ["GET", "POST", "PUT", "PATCH"][round % 4];
        let body = if method == "GET" { Bytes::new() } else { Bytes::from(vec![b'x'; [3, 3, 300_000][round % 3]]) };
        let request = Request::builder().method(method).uri("/").header("host", "shop.localhost");
        let response = sender.send_request(request.body(Full::new(body.clone())).unwrap()).await.expect("an answer");
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!(response.into_body().collect().await.expect("a whole answer").to_bytes(), body);
        done.fetch_add(1, Ordering::SeqCst);
        if habit == Habit::KeepsItsConnection {
            kept = Some(sender);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_while_all_backends_are_replaced_one_by_one() {
    let mut serial = 0;
    let mut live: Vec<(String, App)> = Vec::new();
    for _ in 0..3 {
        serial += 1;
        live.push((format!("shop/default.{serial}"), instance().await));
    }
    let router = Running::start(Limits::default());
    let publish = |live: &[(String, App)]| {
        let backends: Vec<_> = live.iter().map(|(id, app)| (id.as_str(), app.addr)).collect();
        router.publish(&backends);
    };
    publish(&live);

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let habit = if n % 3 == 0 { Habit::ConnectsAnew } else { Habit::KeepsItsConnection };
        clients.spawn(hammer(router.addr, habit, Arc::clone(&stop), Arc::clone(&done)));
    }
    for _ in 0..REPLACEMENTS {
        // Each has to have done some work, or nothing would be shown.
        let before = done.load(Ordering::SeqCst);
        until("requests flow", || done.load(Ordering::SeqCst) >= before + 10).await;
        serial += 1;
        live.push((format!("shop/default.{serial}"), instance().await));
        publish(&live);
        let (id, old) = live.remove(0);
        router.handle.withdraw(&id);
        // A table from before the withdrawal may still arrive.
        publish(&live);
        router.in_flight(&id, 0).await;
        // Stops the instance with all its connections, as a container's end does.
        drop(old);
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(client) = clients.join_next().await {
        client.expect("a client saw no failure");
    }
    let total = done.load(Ordering::SeqCst);
    let counts = router.handle.counts("shop");
    assert_eq!((counts.sent, counts.ok, counts.failed), (total, total, 0));
    assert_eq!(counts.retried, 0, "nothing had to be tried twice");
    for (id, _) in &live {
        assert_eq!(router.handle.in_flight(id), 0);
    }
}
