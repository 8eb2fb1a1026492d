//! Backends that fail a request, and what the router makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tapit_router::{Counts, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{App, Nobody, Running, read_header, status, until};

const POST: &str = "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
const CHUNKED_PUT: &str = "PUT / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\
                           Connection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

fn brief() -> Limits {
    Limits { hold: Duration::from_millis(100), suspect: Duration::from_millis(20), ..Limits::default() }
}

/// Takes a request whole and hangs up without an answer.
async fn hangs_up() -> App {
    App::raw(|mut stream| async move {
        if let Some(header) = read_header(&mut stream).await
            && header.contains("ontent-")
        {
            let _ = stream.read_exact(&mut [0; 2]).await;
        }
    })
    .await
}

#[tokio::test]
async fn any_method_goes_to_another_backend_when_one_cannot_be_connected_to() {
    let a = App::start(|request| async move { crate::support::text(request.method().as_str().to_owned()) }).await;
    let dead = Nobody::new();
    let router =
        Running::to(Limits::default(), &[("shop/x.1", dead.addr), ("shop/x.2", dead.addr), ("shop/a.1", a.addr)]);
    for _ in 0..4 {
        assert!(router.ask(POST).await.ends_with("POST"));
    }
    let counts = router.handle.counts("shop");
    assert_eq!((counts.sent, counts.ok, counts.failed), (4, 4, 0));
    // Suspects are passed over: the dead ones are not tried by each request.
    assert!((1..=2).contains(&counts.retried), "{counts:?}");
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_when_a_backend_hangs_up() {
    let (bad, good) = (hangs_up().await, App::named("good").await);
    for request in ["GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n", PUT] {
        let router = Running::to(Limits::default(), &[("shop/bad.1", bad.addr), ("shop/good.1", good.addr)]);
        assert!(router.ask(request).await.ends_with("good"));
        assert!(router.ask(request).await.ends_with("good"));
        assert_eq!(router.handle.counts("shop"), Counts { sent: 2, ok: 2, failed: 0, retried: 1 });
    }
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_sent_again() {
    let (bad, good) = (hangs_up().await, App::named("good").await);
    for request in [POST, CHUNKED_PUT] {
        let router = Running::to(Limits::default(), &[("shop/bad.1", bad.addr), ("shop/good.1", good.addr)]);
        let before = good.accepted();
        assert_eq!(status(&router.ask(request).await), "502");
        assert_eq!(good.accepted(), before);
        assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
        assert_eq!(router.handle.in_flight("shop/bad.1"), 0);
    }
}

#[tokio::test]
async fn sending_again_has_an_end() {
    let bad = hangs_up().await;
    let limits = Limits { suspect: Duration::from_millis(20), ..Limits::default() };
    let router = Running::to(limits, &[("shop/bad.1", bad.addr)]);
    assert_eq!(status(&router.get("/").await), "502");
    assert_eq!(bad.accepted(), 3);
}

#[tokio::test]
async fn a_backend_that_accepts_and_closes_at_once_loses_no_idempotent_request() {
    let (bad, good) = (App::raw(|_| async {}).await, App::named("good").await);
    let router = Running::to(brief(), &[("shop/bad.1", bad.addr), ("shop/good.1", good.addr)]);
    for _ in 0..10 {
        assert!(router.get("/").await.ends_with("good"));
    }
    assert_eq!(router.handle.counts("shop").failed, 0);
}

#[tokio::test]
async fn an_idle_connection_that_the_backend_closed_costs_no_request_of_any_method() {
    // Answers one request per connection and closes it although it promised to keep it.
    let closes = Arc::new(AtomicUsize::new(0));
    let closed = Arc::clone(&closes);
    let app = App::raw(move |mut stream| {
        let closed = Arc::clone(&closed);
        async move {
            if read_header(&mut stream).await.is_some() {
                let _ = stream.read_exact(&mut [0; 2]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            drop(stream);
            closed.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    for round in 1..=10 {
        assert!(router.ask(POST).await.ends_with("ok"));
        until("the backend has closed", || closes.load(Ordering::SeqCst) == round).await;
    }
    assert_eq!(router.handle.counts("shop"), Counts { sent: 10, ok: 10, failed: 0, retried: 0 });
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_cut_off_for_the_client_and_counts_as_failed() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.get("/").await;
    assert!(answer.contains("abc") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
    assert_eq!(router.handle.in_flight("shop/a.1"), 0);
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_502() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    })
    .await;
    let router = Running::to(brief(), &[("shop/a.1", app.addr)]);
    assert_eq!(status(&router.ask(POST).await), "502");
}

#[tokio::test]
async fn a_backend_that_does_not_begin_to_answer_in_time_is_a_504() {
    let app = App::raw(|mut stream| async move {
        // Reads until the router hangs up.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let limits = Limits { response_header: Duration::from_millis(50), ..Limits::default() };
    let router = Running::to(limits, &[("shop/a.1", app.addr)]);
    assert_eq!(status(&router.get("/").await), "504");
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
    assert_eq!(router.handle.in_flight("shop/a.1"), 0);
}
