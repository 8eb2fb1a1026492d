//! Connections that switch to another protocol.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tapit_router::{Counts, Limits};
use tokio::io::AsyncWriteExt;

use crate::support::{App, Running, read_header, status, text};

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: shop.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Switches to a protocol that sends everything back.
async fn echo() -> App {
    App::start(|mut request: Request<hyper::body::Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            }
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        response.header("connection", "upgrade").header("upgrade", "echo").body(Empty::<Bytes>::new()).unwrap()
    })
    .await
}

#[tokio::test]
async fn an_upgraded_connection_passes_both_ways_and_is_in_flight_until_it_ends() {
    let app = echo().await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send(UPGRADE).await;
    let head = talk.read_until("\r\n\r\n").await.to_lowercase();
    assert_eq!(status(&head), "101");
    assert!(head.contains("upgrade: echo") && head.contains("connection: upgrade"), "{head}");
    talk.send("ping").await;
    assert_eq!(talk.read_until("ping").await, "ping");
    assert_eq!(router.handle.in_flight("shop/a.1"), 1);

    // It drains: withdrawn, it goes on, and is counted until both ends have closed.
    router.handle.withdraw("shop/a.1");
    talk.send("pong").await;
    assert_eq!(talk.read_until("pong").await, "pong");
    assert_eq!(router.handle.in_flight("shop/a.1"), 1);
    talk.stream.shutdown().await.unwrap();
    assert_eq!(talk.rest().await, "");
    router.in_flight("shop/a.1", 0).await;
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 1, failed: 0, retried: 0 });
}

#[tokio::test]
async fn an_upgraded_connection_ends_when_its_backend_dies() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nbye";
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send(UPGRADE).await;
    assert!(talk.rest().await.ends_with("bye"));
    drop(talk);
    router.in_flight("shop/a.1", 0).await;
}

#[tokio::test]
async fn a_backend_may_decline_an_upgrade() {
    let app = App::named("no").await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send(UPGRADE).await;
    assert_eq!(status(&talk.read_until("\r\n\r\nno").await), "200");
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&talk.read_until("\r\n\r\nno").await), "200");
}

#[tokio::test]
async fn clear_text_http2_is_not_passed_on() {
    let app = App::start(|request| async move { text(format!("{:?}", request.headers().get("upgrade"))) }).await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    assert!(router.ask(h2c).await.ends_with("None"));
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let app = echo().await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    assert_eq!(status(&router.get("/").await), "502");
    router.in_flight("shop/a.1", 0).await;
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
}
