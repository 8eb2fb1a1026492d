//! Images that were built, and images that go away.

use super::Server;
use super::client::Ask;

#[tokio::test]
async fn what_was_built_is_imported_as_such_and_under_a_name() {
    let server = Server::start();
    let ask = |line: &str| Ask::new(line).bytes(b"archive");
    assert_eq!(server.ask(ask("POST /v1/images?ref=a:v1&source=build")).await.status, 200);
    assert_eq!(server.ask(ask("POST /v1/images?ref=a:v1&source=import")).await.status, 200);
    let expected = ["import \"archive\", built, as a:v1", "import \"archive\" as Some(\"a:v1\")"];
    assert_eq!(server.script.calls(), expected);
    server.ask(ask("POST /v1/images?source=build")).await.refuses(400, "usage", "give ref=");
    server.ask(ask("POST /v1/images?ref=a:v1&source=pull")).await.refuses(400, "usage", "source");
    assert_eq!(server.spooled(), 0);
}

#[tokio::test]
async fn a_push_goes_where_it_is_told_to_and_else_where_the_name_points() {
    let server = Server::start();
    for (line, call) in [
        ("POST /v1/images/push?ref=a:v1", "push a:v1 to a:v1"),
        ("POST /v1/images/push?ref=a:v1&to=r.example/b", "push a:v1 to r.example/b:latest"),
    ] {
        server.ask(Ask::new(line)).await.refuses(404, "not_found", "no image a:v1");
        assert_eq!(server.script.calls(), [call], "{line}");
    }
    let pinned = format!("a@sha256:{}", "0".repeat(64));
    for (query, part) in [
        (String::new(), "ref"),
        ("?ref=UP".to_owned(), "image reference"),
        (format!("?ref=a:v1&to={pinned}"), "under a tag"),
        (format!("?ref={pinned}"), "under a tag"),
        ("?ref=a:v1&dry_run=true".to_owned(), "dry_run"),
    ] {
        server.ask(Ask::new(&format!("POST /v1/images/push{query}"))).await.refuses(400, "usage", part);
    }
    assert!(server.script.calls().is_empty());
}
