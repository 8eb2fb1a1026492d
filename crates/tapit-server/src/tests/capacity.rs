//! What cannot be had now, since when; and how many requests a rollout has seen.

use std::net::SocketAddr;
use std::time::Duration;

use tapit_model::MemoryMib;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{Stage, app, create, create_app, healthy, process, set};
use tapit_model::Request;

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_memory_is_told_with_the_time_since_when() {
    let stage = Stage::open().await;
    stage.fake.set_capacity(MemoryMib::from_mib(1024));
    let outcome = stage.submit(create_app("shop", &[("demand", "3")])).await;
    stage
        .until("one waits for memory", async |stage| {
            let view = stage.show("default").await;
            healthy(&view).len() == 2 && view.blocked.iter().any(|blocked| blocked.code == "capacity")
        })
        .await;
    let since = stage.show("default").await.blocked[0].since.clone();
    // Other changes, looked at by many passes, do not begin it anew.
    stage.settle(create("api", &[("demand", "0")])).await;
    stage.submit(set("default", &[("spot_count", "1")])).await;
    stage.until("a spot instance waits as well", async |stage| stage.show("default").await.pending.spot == 1).await;
    let view = stage.show("default").await;
    assert!(view.blocked.iter().all(|blocked| blocked.since == since), "{:?} since {since}", view.blocked);
    stage.fake.set_capacity(MemoryMib::from_mib(2048));
    stage.until("all run", async |stage| healthy(&stage.show("default").await).len() == 4).await;
    assert_eq!(stage.show("default").await.blocked, []);
    assert!(stage.settled(&app("shop"), Some(&process("default")), outcome.revision).await.ok);
    let kinds: Vec<_> = stage.events("shop").await.into_iter().map(|event| event.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "blocked") && kinds.iter().any(|kind| kind == "unblocked"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loop_wakes_up_when_a_stand_in_for_spot_is_due() {
    let stage = Stage::open().await;
    stage.fake.set_capacity(MemoryMib::from_mib(1024));
    assert!(stage.settle(create_app("shop", &[("demand", "1"), ("spot", "2"), ("spot_fallback", "1s")])).await.ok);
    // Nothing new is seen and nobody asks for anything, so only the loop itself can bring this about. Its idle time is
    // longer than this wait.
    let mut stand_ins = 0;
    for _ in 0..400 {
        stand_ins = stage.show("default").await.fallback;
        if stand_ins > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stand_ins, 1);
    let events = stage.events("shop").await;
    let told = events.iter().find(|event| event.kind == "fallback_started").expect("it is told");
    assert_eq!(told.text, "spot has been missing for 1s: 1 instance runs on demand instead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_counts_the_requests_that_it_has_seen() {
    let stage = Stage::open().await;
    // The engine's instances are at 127.0.0.1; this listener answers for all of them.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let backend = tokio::spawn(answer(listener));
    stage.settle(create_app("shop", &[("port", &port)])).await;
    let router = stage.server.hub.facts.http;
    stage.full_pass().await;
    let first = stage.show("default").await.rollout.expect("there was one").requests;
    assert_eq!(get(router).await, "HTTP/1.1 200 OK");
    let after = stage.show("default").await.rollout.expect("there was one").requests;
    assert_eq!(after, first, "the rollout was over before the request");

    let restart = Request::RestartProcess { app: app("shop"), process: process("default") };
    let outcome = stage.submit(restart).await;
    // No tick passes meanwhile, so the rollout is still under way when the request comes.
    stage.full_pass().await;
    assert_eq!(get(router).await, "HTTP/1.1 200 OK");
    assert!(stage.settled(&app("shop"), Some(&process("default")), outcome.revision).await.ok);
    stage.full_pass().await;
    assert_eq!(get(router).await, "HTTP/1.1 200 OK");
    stage.full_pass().await;
    let seen = stage.show("default").await.rollout.expect("there was one").requests;
    assert_eq!((seen.sent, seen.ok, seen.failed), (1, 1, 0));
    backend.abort();
}

async fn answer(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 4096];
        // One small request is one read; whether it went well is seen by the answer.
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    }
}

/// The status line of the router's answer.
async fn get(router: SocketAddr) -> String {
    let mut stream = TcpStream::connect(router).await.expect("the router listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.localhost\r\nconnection: close\r\n\r\n").await.expect("writes");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answers");
    text.lines().next().unwrap_or_default().to_owned()
}
