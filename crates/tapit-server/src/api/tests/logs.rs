//! Logs as they go over the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Server;
use super::client::Ask;

/// The whole answer as text.
async fn text(server: &Server, path: &str) -> String {
    let mut stream = server.connect().await;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.expect("asks");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answers");
    text
}

#[tokio::test]
async fn lines_go_out_as_one_object_each_with_the_place_to_go_on_and_signs_of_life() {
    let server = Server::start();
    let answer = text(&server, "/v1/apps/shop/logs").await;
    assert!(answer.contains("content-type: application/x-ndjson"), "{answer}");
    let line = r#"{"at":"2026-01-31T12:00:00.000Z","process":"web","instance":"web.1","stream":"stderr","text":"one\u001b[0m"}"#;
    assert!(answer.contains(&format!("{line}\n{line}\n{{\"resume\":\"here\"}}\n")), "{answer}");
    assert!(answer.contains("\r\n1\r\n\n\r\n"), "an empty page is an empty line: {answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_does_not_look_like_one_that_ended() {
    let server = Server::start();
    let answer = text(&server, "/v1/apps/shop/logs?process=web&follow=true").await;
    assert!(answer.contains("web.1") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn the_parameters_say_what_is_wanted() {
    let server = Server::start();
    let all = "process=web&instance=web.1&lines=0&since=1h&follow=true&resume=here";
    text(&server, &format!("/v1/apps/shop/logs?{all}")).await;
    text(&server, "/v1/apps/shop/logs").await;
    let calls = server.script.calls();
    for part in ["(\"web.1\")", "lines: 0", "Ago(3600000)", "Onwards { resume: Some(\"here\") }"] {
        assert!(calls[0].contains(part), "{part}: {calls:?}");
    }
    assert!(calls[1].contains("lines: 100, since: None, time: Past"), "{calls:?}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let server = Server::start();
    for (query, part) in [
        ("lines=10001", "0 to 10000"),
        ("lines=-1", "lines"),
        ("since=yesterday", "1h30m"),
        ("process=Web", "process name"),
        ("instance=", "instance"),
        ("resume=x", "follow=true"),
        ("folow=true", "folow"),
    ] {
        server.ask(Ask::new(&format!("GET /v1/apps/shop/logs?{query}"))).await.refuses(400, "usage", part);
    }
    server.ask(Ask::new("GET /v1/apps/not-found/logs")).await.refuses(404, "not_found", "refused as");
    server.ask(Ask::new("POST /v1/apps/shop/logs")).await.refuses(405, "usage", "POST");
    assert!(server.script.calls().is_empty());
}
