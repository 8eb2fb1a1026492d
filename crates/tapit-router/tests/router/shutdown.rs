//! How the router ends.

use std::sync::Arc;
use std::time::Duration;

use tapit_router::{Limits, Router, RouterError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{App, PATIENCE, Running, loopback, status, text, until};

/// Answers once there is a permit.
async fn gated(gate: &Arc<Semaphore>) -> App {
    let gate = Arc::clone(gate);
    App::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            text("done")
        }
    })
    .await
}

#[tokio::test]
async fn what_is_in_flight_ends_and_nothing_new_is_accepted() {
    let gate = Arc::new(Semaphore::new(0));
    let app = gated(&gate).await;
    let mut router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut idle = router.connect().await;
    let mut busy = router.connect().await;
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    router.in_flight("shop/a.1", 1).await;
    router.tell_to_stop();
    assert_eq!(idle.rest().await, "");
    let addr = router.addr;
    tokio::time::timeout(PATIENCE, async { while TcpStream::connect(addr).await.is_ok() {} }).await.unwrap();
    gate.add_permits(1);
    let answer = busy.rest().await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("done"));
    router.ended().await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_closed() {
    let gate = Arc::new(Semaphore::new(0));
    let app = gated(&gate).await;
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let mut router = Running::to(limits, &[("shop/a.1", app.addr)]);
    let mut busy = router.connect().await;
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    router.in_flight("shop/a.1", 1).await;
    router.tell_to_stop();
    router.ended().await;
    assert_eq!(busy.rest().await, "");
    until("nothing is in flight", || router.handle.in_flight("shop/a.1") == 0).await;
}

#[tokio::test]
async fn an_upgraded_connection_is_closed_when_the_time_is_over() {
    let app = App::raw(|mut stream| async move {
        let _ = crate::support::read_header(&mut stream).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let mut router = Running::to(limits, &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    talk.read_until("\r\n\r\n").await;
    router.tell_to_stop();
    router.ended().await;
    assert_eq!(talk.rest().await, "");
}

#[tokio::test]
async fn an_address_in_use_is_said_with_the_address() {
    let first = Router::bind(loopback()).unwrap();
    let taken = first.local_addr();
    let Err(error) = Router::bind(taken) else { panic!("two routers on one address") };
    let RouterError::Listen { addr, .. } = &error;
    assert_eq!(*addr, taken);
    assert_eq!(error.to_string(), format!("cannot listen for HTTP on {taken}"));
}
