//! Calls that only read, paths that there are not, and the end of the server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Server;
use super::client::Ask;

#[tokio::test]
async fn lists_are_arrays_and_things_are_objects() {
    let server = Server::start();
    for path in ["/v1/apps", "/v1/apps/shop/processes", "/v1/events", "/v1/images"] {
        let answer = server.ask(Ask::new(&format!("GET {path}"))).await;
        assert_eq!((answer.status, answer.json), (200, serde_json::json!([])), "{path}");
    }
    let status = server.ask(Ask::new("GET /v1/status")).await;
    assert_eq!((status.status, &status.json["engine"]), (200, &"script".into()));
    assert!(status.head.contains("content-type: application/json"), "{}", status.head);
    assert_eq!(server.ask(Ask::new("GET /v1/apps/shop")).await.json["name"], "shop");
    server.ask(Ask::new("GET /v1/image?ref=nginx")).await.refuses(404, "not_found", "nginx:latest");
}

#[tokio::test]
async fn usage_is_asked_for_an_app_or_for_one_of_its_processes() {
    let server = Server::start();
    assert_eq!(server.ask(Ask::new("GET /v1/apps/shop/usage")).await.json, serde_json::json!([]));
    server.ask(Ask::new("GET /v1/apps/shop/usage?process=web")).await;
    assert_eq!(server.script.calls(), ["usage shop None", "usage shop Some(\"web\")"]);
    server.ask(Ask::new("GET /v1/apps/shop/usage?process=W")).await.refuses(400, "usage", "legal process name");
    server.ask(Ask::new("GET /v1/apps/not-found/usage")).await.refuses(404, "not_found", "not-found");
}

#[tokio::test]
async fn differences_are_asked_for_one_app_and_one_engine() {
    let server = Server::start();
    for engine in ["ecs", "embedded"] {
        let answer = server.ask(Ask::new(&format!("GET /v1/apps/shop/diff?engine={engine}"))).await;
        assert_eq!((answer.status, answer.json), (200, serde_json::json!([])));
    }
    assert_eq!(server.script.calls(), ["diff shop ecs", "diff shop embedded"]);
    server.ask(Ask::new("GET /v1/apps/shop/diff")).await.refuses(400, "usage", "give engine=embedded or engine=ecs");
    server.ask(Ask::new("GET /v1/apps/shop/diff?engine=docker")).await.refuses(400, "usage", "engine=docker is not");
    server.ask(Ask::new("GET /v1/apps/shop/diff?engine=ecs&x=1")).await.refuses(400, "usage", "x");
    server.ask(Ask::new("GET /v1/apps/not-found/diff?engine=ecs")).await.refuses(404, "not_found", "not-found");
}

#[tokio::test]
async fn metrics_are_text_that_collectors_read() {
    let server = Server::start();
    let answer = server.ask(Ask::new("GET /metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
}

#[tokio::test]
async fn unknown_paths_and_methods_point_to_the_description() {
    let server = Server::start();
    for line in ["GET /", "GET /v2/apps", "GET /v1/apps/", "POST /v1/apps/shop/processes/web/explode"] {
        server.ask(Ask::new(line)).await.refuses(404, "not_found", "/v1/openapi.json");
    }
    for line in ["PUT /v1/apps", "DELETE /v1/apps", "GET /v1/images/prune", "BREW /v1/status"] {
        let answer = server.ask(Ask::new(line)).await;
        answer.refuses(405, "usage", "/v1/openapi.json");
        assert!(answer.head.contains("allow: "), "{}", answer.head);
    }
}

#[tokio::test]
async fn mistyped_parameters_are_refused_and_not_ignored() {
    let server = Server::start();
    for (path, part) in [
        ("/v1/events?limt=3", "limt"),
        ("/v1/events?limit=0", "1 to 1000"),
        ("/v1/events?limit=1001", "1 to 1000"),
        ("/v1/events?after=-1", "after"),
        ("/v1/events?app=Shop", "app name"),
        ("/v1/apps?all=true", "all"),
        ("/v1/status?x", "x"),
        ("/v1/apps/shop/settled?wait=soon", "wait"),
    ] {
        server.ask(Ask::new(&format!("GET {path}"))).await.refuses(400, "usage", part);
    }
    assert!(server.script.calls().is_empty());
}

#[tokio::test]
async fn events_are_filtered_by_the_parameters() {
    let server = Server::start();
    server.ask(Ask::new("GET /v1/events?app=shop&process=web&after=7&limit=3")).await;
    server.ask(Ask::new("GET /v1/events")).await;
    let calls = server.script.calls();
    assert!(calls[0].contains("shop") && calls[0].contains("web"), "{calls:?}");
    assert!(calls[0].contains("after_id: Some(7), limit: 3"), "{calls:?}");
    assert!(calls[1].contains("after_id: None, limit: 100"), "{calls:?}");
}

#[tokio::test]
async fn settled_waits_for_25_seconds_at_most() {
    let server = Server::start();
    for path in ["shop/processes/web/settled?revision=9&wait=20", "shop/settled?revision=9&wait=3600", "shop/settled"] {
        assert_eq!(server.ask(Ask::new(&format!("GET /v1/apps/{path}"))).await.json["settled"], true);
    }
    let expected = ["settled shop Some(\"web\") 9 20s", "settled shop None 9 25s", "settled shop None 0 0ns"];
    assert_eq!(server.script.calls(), expected);
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_ends_with_the_server() {
    let server = Server::start();
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /v1/apps HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"[]") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed early");
        }
    }
    server.stop.send(()).unwrap();
    server.serving.await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}
