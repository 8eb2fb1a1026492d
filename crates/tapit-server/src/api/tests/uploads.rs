//! Uploads: spooled, handed over, and never left behind.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use tokio::io::AsyncWriteExt;

use super::Server;
use super::client::Ask;
use crate::api::spool::{Limits, receive};

#[tokio::test]
async fn an_upload_is_handed_over_as_a_file_and_removed() {
    let server = Server::start();
    let answer = server.ask(Ask::new("POST /v1/images?ref=a/b:v1").bytes(b"archive")).await;
    assert_eq!((answer.status, answer.json), (200, serde_json::json!([])));
    server.ask(Ask::new("POST /v1/images").bytes(b"another")).await;
    let expected = ["import \"archive\" as Some(\"a/b:v1\")", "import \"another\" as None"];
    assert_eq!(server.script.calls(), expected);
    assert_eq!(server.spooled(), 0);
}

#[tokio::test]
async fn an_upload_that_is_refused_is_removed() {
    let server = Server::start();
    server.ask(Ask::new("POST /v1/images").bytes(b"broken")).await.refuses(400, "usage", "not an archive");
    server.ask(Ask::new("POST /v1/images").bytes(b"")).await.refuses(400, "usage", "empty");
    server.ask(Ask::new("POST /v1/images?ref=..").bytes(b"x")).await.refuses(400, "usage", "image reference");
    assert_eq!(server.spooled(), 0);
}

#[tokio::test]
async fn an_upload_whose_sender_hangs_up_is_removed() {
    let server = Server::start();
    let mut stream = server.connect().await;
    let head = "POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nthe beginning";
    stream.write_all(head.as_bytes()).await.unwrap();
    server.until("the upload is spooled", |server| server.spooled() == 1).await;
    drop(stream);
    server.until("the spool is empty", |server| server.spooled() == 0).await;
    assert!(server.script.calls().is_empty());
}

#[tokio::test]
async fn an_upload_is_bounded_in_size_and_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { upload_bytes: 10, upload_silence: Duration::from_millis(20) };
    let refused = async |headers: HeaderMap, body: Body| {
        let error = receive(directory.path(), &headers, body, limits).await.expect_err("out of bounds");
        (error.into_response().status().as_u16(), std::fs::read_dir(directory.path()).unwrap().count())
    };
    assert_eq!(refused(HeaderMap::new(), Body::from(vec![0; 11])).await, (413, 0));
    let announced = HeaderMap::from_iter([(axum::http::header::CONTENT_LENGTH, HeaderValue::from_static("11"))]);
    assert_eq!(refused(announced, Body::from("x")).await, (413, 0));
    let silent = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(refused(HeaderMap::new(), silent).await, (408, 0));

    let kept = receive(directory.path(), &HeaderMap::new(), Body::from(vec![7; 10]), limits).await.unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), [7; 10]);
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("spool");
    let error =
        receive(&below, &HeaderMap::new(), Body::from("x"), Limits::default()).await.expect_err("not a directory");
    assert!(format!("{error:?}").contains("cannot spool the upload"), "{error:?}");
}
