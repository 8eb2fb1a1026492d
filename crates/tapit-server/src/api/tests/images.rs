//! Images as they go over the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Server;
use super::client::Ask;

/// The whole answer as text.
async fn text(server: &Server, line: &str) -> String {
    let mut stream = server.connect().await;
    let ask = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.expect("asks");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answers");
    text
}

#[tokio::test]
async fn a_pull_is_told_as_a_line_for_each_frame_with_signs_of_life_between() {
    let server = Server::start();
    let answer = text(&server, "POST /v1/images/pull?ref=a/b:denied").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("application/x-ndjson"), "{answer}");
    let (progress, silence) = (answer.find(r#"{"progress":{"layers":[]}}"#), answer.find("\r\n1\r\n\n\r\n"));
    let failed = answer.find(r#"{"failed":{"code":"denied","message":"no a/b:denied to be had"}}"#);
    assert!(progress.is_some() && progress < failed, "{answer}");
    // What is ready at once may go out together.
    assert!(silence.is_some() || answer.contains("}\n\n{"), "{answer}");
    assert_eq!(server.script.calls(), ["pull a/b:denied"]);
}

#[tokio::test]
async fn an_image_is_asked_for_by_its_digest_too_and_pulled_by_a_reference_only() {
    let server = Server::start();
    let digest = format!("sha256:{}", "0a".repeat(32));
    server.ask(Ask::new(&format!("GET /v1/image?ref={digest}"))).await.refuses(404, "not_found", "no image 0a0a");
    server.ask(Ask::new("DELETE /v1/image?ref=0a0a0a")).await;
    assert_eq!(server.script.calls(), ["do delete image 0a0a0a"]);
    for (line, part) in [
        ("POST /v1/images/pull", "ref"),
        ("POST /v1/images/pull?ref=UP", "image reference"),
        ("POST /v1/images/pull?ref=a&dry_run=true", "dry_run"),
        ("GET /v1/image?ref=sha256:xyz", "image reference"),
    ] {
        server.ask(Ask::new(line)).await.refuses(400, "usage", part);
    }
    assert!(server.script.calls().is_empty());
}
