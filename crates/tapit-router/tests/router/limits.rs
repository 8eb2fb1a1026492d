//! Clients that are slow, greedy or malformed.

use std::time::Duration;

use tapit_router::{Counts, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::{App, Running, read_header, status, text, until};

async fn one(limits: Limits) -> (App, Running) {
    let app = App::named("ok").await;
    let router = Running::to(limits, &[("shop/a.1", app.addr)]);
    (app, router)
}

#[tokio::test]
async fn requests_with_doubtful_framing_or_host_are_refused_and_their_connection_closed() {
    let (app, router) = one(Limits::default()).await;
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases = [
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let answer = router.ask(&case).await;
        assert_eq!(status(&answer), "400", "{case:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{case:?}: {answer:?}");
    }
    assert_eq!(app.accepted(), 0, "no backend saw any of them");
}

#[tokio::test]
async fn what_is_not_served_is_said() {
    let (_app, router) = one(Limits::default()).await;
    assert_eq!(status(&router.ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await), "405");
    let gzip = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&router.ask(gzip).await), "501");
    assert_eq!(status(&router.ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n").await), "417");
}

#[tokio::test]
async fn bad_chunks_end_in_400_and_reach_no_backend_as_a_whole_request() {
    let app = App::start(|request: hyper::Request<hyper::body::Incoming>| async move {
        let read = http_body_util::BodyExt::collect(request.into_body()).await;
        text(if read.is_ok() { "whole" } else { "broken" })
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    for chunks in ["zz\r\nhi\r\n0\r\n\r\n", "2\r\nhiX\r\n0\r\n\r\n", "fffffffffffffffff\r\nhi\r\n"] {
        let post = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answer = router.ask(&post).await;
        assert_eq!(status(&answer), "400", "{chunks:?}: {answer:?}");
    }
    assert_eq!(router.handle.counts("shop"), Counts { sent: 3, ok: 0, failed: 0, retried: 0 });
    router.in_flight("shop/a.1", 0).await;
}

#[tokio::test]
async fn a_header_that_is_too_large_is_answered_431() {
    let (app, router) = one(Limits { header_bytes: 8192, ..Limits::default() }).await;
    let field = format!("X-Big: {}\r\n", "x".repeat(8192));
    let mut talk = router.connect().await;
    talk.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}")).await;
    assert_eq!(status(&talk.read_until("\r\n\r\n").await), "431");
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let mut talk = router.connect().await;
    talk.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;
    assert_eq!(status(&talk.read_until("\r\n\r\n").await), "431");
    assert_eq!(app.accepted(), 0);
}

#[tokio::test]
async fn a_header_that_comes_too_slowly_is_cut_off() {
    let limits = Limits { header_read: Duration::from_millis(200), ..Limits::default() };
    let (_app, router) = one(limits).await;
    let started = Instant::now();
    let mut talk = router.connect().await;
    // A byte now and then does not buy more time.
    while started.elapsed() < Duration::from_secs(10) && talk.stream.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    // A connection on which nothing comes at all has no more time.
    assert_eq!(router.connect().await.rest().await, "");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_limit_but_not_its_own() {
    let limits = Limits {
        header_read: Duration::from_millis(300),
        keep_alive: Duration::from_millis(1000),
        ..Limits::default()
    };
    let (_app, router) = one(limits).await;
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    talk.read_until("\r\n\r\nok").await;
    let idle_since = Instant::now();
    assert_eq!(talk.rest().await, "");
    assert!(idle_since.elapsed() >= Duration::from_millis(800));
}

#[tokio::test]
async fn an_upload_that_stalls_is_answered_408() {
    let app = App::start(|request: hyper::Request<hyper::body::Incoming>| async move {
        let _ = http_body_util::BodyExt::collect(request.into_body()).await;
        text("never")
    })
    .await;
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let router = Running::to(limits, &[("shop/a.1", app.addr)]);
    for method in ["POST", "PUT"] {
        let answer = router.ask(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")).await;
        assert_eq!(status(&answer), "408", "{answer}");
    }
    assert_eq!(router.handle.counts("shop"), Counts { sent: 2, ok: 0, failed: 0, retried: 0 });
    router.in_flight("shop/a.1", 0).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_response_is_cut_off() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let router = Running::to(limits, &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    router.in_flight("shop/a.1", 1).await;
    router.in_flight("shop/a.1", 0).await;
    drop(talk);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_there_is_room() {
    let (_app, router) = one(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = router.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.read_until("\r\n\r\nok").await;
    let mut second = router.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.stream.read_u8()).await;
    assert!(early.is_err(), "it waits");
    drop(first);
    assert!(second.rest().await.ends_with("ok"));
    until("both are counted", || router.handle.counts("shop").ok == 2).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::start(|request| async move { text(request.uri().path().to_owned()) }).await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answers =
        router.ask("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answers.find("/1") < answers.find("/2") && answers.ends_with("/2"), "{answers}");
}
