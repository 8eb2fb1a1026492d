//! What of a message passes the router, and in which form.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tapit_router::{Counts, Limits};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::{App, PATIENCE, Running, read_header, status, text};

/// Answers with the request line and the header fields that it got, sorted.
async fn mirror() -> App {
    App::start(|request| async move {
        let mut lines: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        text(format!("{} {}\n{}", request.method(), request.uri(), lines.concat()))
    })
    .await
}

/// A body that is fed from a test.
struct Fed {
    frames: mpsc::Receiver<Frame<Bytes>>,
}

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

async fn client<B>(router: &Running) -> SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let stream = TcpStream::connect(router.addr).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn to_shop(method: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri("/").header("host", "shop.localhost")
}

#[tokio::test]
async fn a_backend_learns_the_true_origin_and_nothing_of_the_hop() {
    let app = mirror().await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router
        .ask(
            "GET http://shop.test:81/a?b=c HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-For: 1.2.3.4\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
             X-Secret: 1\r\nKeep-Alive: timeout=1\r\nCookie: a=b\r\nConnection: close, X-Secret\r\n\r\n",
        )
        .await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        "GET /a?b=c\ncookie: a=b\nhost: shop.test:81\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: shop.test:81\n\
         x-forwarded-proto: http\nx-real-ip: 127.0.0.1\n"
    );
}

#[tokio::test]
async fn hop_by_hop_fields_of_a_response_end_at_the_router() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                      Keep-Alive: timeout=9\r\nX-End: 1\r\n\r\nok";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = talk.read_until("\r\n\r\nok").await.to_lowercase();
    assert!(answer.contains("x-end: 1"), "{answer}");
    for hop in ["x-hop", "keep-alive", "connection"] {
        assert!(!answer.contains(hop), "{answer}");
    }
    // The client's own connection goes on.
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    talk.read_until("\r\n\r\nok").await;
}

#[tokio::test]
async fn a_head_request_gets_the_length_but_no_body() {
    let app = App::named("four").await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.to_lowercase().contains("content-length: 4"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 1, failed: 0, retried: 0 });
    assert_eq!(router.handle.in_flight("shop/a.1"), 0);
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_chunked_response_without_chunks() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.ask("GET / HTTP/1.0\r\nHost: shop.localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let app = App::start(|request: Request<Incoming>| async move {
        text(request.into_body().collect().await.unwrap().to_bytes())
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    for method in ["POST", "PUT"] {
        let mut talk = router.connect().await;
        talk.send(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"))
            .await;
        assert_eq!(talk.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        talk.send("hello").await;
        assert_eq!(status(&talk.read_until("\r\n\r\nhello").await), "200");
    }
}

#[tokio::test]
async fn interim_responses_do_not_stand_for_the_answer() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.get("/").await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("ok"));
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 256;
    let app = App::start(|request: Request<Incoming>| async move { Response::new(request.into_body()) }).await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let (feed, frames) = mpsc::channel(1);
    let mut sender = client::<Fed>(&router).await;
    let response = sender.send_request(to_shop("POST").body(Fed { frames }).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let (received, ()) = tokio::join!(
        async {
            let mut received = 0;
            while let Some(frame) = body.frame().await {
                received += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
            received
        },
        async move {
            for _ in 0..CHUNKS {
                feed.send(Frame::data(Bytes::from(vec![7; CHUNK]))).await.unwrap();
            }
        }
    );
    assert_eq!(received, CHUNK * CHUNKS);
    router.in_flight("shop/a.1", 0).await;
    assert_eq!(router.handle.counts("shop").ok, 1);
}

#[tokio::test]
async fn events_pass_one_by_one_and_count_as_in_flight_until_the_last() {
    let (feed, frames) = mpsc::channel(1);
    let frames = std::sync::Arc::new(std::sync::Mutex::new(Some(frames)));
    let app = App::start(move |_| {
        let frames = frames.lock().unwrap().take().unwrap();
        async move { Response::new(Fed { frames }) }
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut sender = client::<Full<Bytes>>(&router).await;
    let request = to_shop("GET").body(Full::default()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        feed.send(Frame::data(Bytes::from(event))).await.unwrap();
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("the event is not held back");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), event);
        assert_eq!(router.handle.in_flight("shop/a.1"), 1);
    }
    router.handle.withdraw("shop/a.1");
    assert_eq!(router.handle.in_flight("shop/a.1"), 1);
    drop(feed);
    assert!(body.frame().await.is_none());
    router.in_flight("shop/a.1", 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it_and_is_nobodys_failure() {
    let (feed, frames) = mpsc::channel(1);
    let frames = std::sync::Arc::new(std::sync::Mutex::new(Some(frames)));
    let app = App::start(move |_| {
        let frames = frames.lock().unwrap().take().unwrap();
        async move { Response::new(Fed { frames }) }
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    talk.read_until("\r\n\r\n").await;
    drop(talk);
    router.in_flight("shop/a.1", 0).await;
    tokio::time::timeout(PATIENCE, feed.closed()).await.expect("the backend learns of it");
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 0, retried: 0 });
}

#[tokio::test]
async fn trailers_pass_to_a_client_that_takes_them() {
    let app = App::start(|_| async {
        let mut fields = hyper::HeaderMap::new();
        fields.insert("x-sum", "42".parse().unwrap());
        let (feed, frames) = mpsc::channel(2);
        feed.send(Frame::data(Bytes::from_static(b"body"))).await.unwrap();
        feed.send(Frame::trailers(fields)).await.unwrap();
        Response::builder().header("trailer", "x-sum").body(Fed { frames }).unwrap()
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.ask("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n").await;
    assert!(answer.ends_with("4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n"), "{answer}");
    assert_eq!(router.handle.counts("shop").ok, 1);
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_keeps_its_body() {
    let app = App::start(|request: Request<Incoming>| async move {
        text(request.into_body().collect().await.unwrap().to_bytes())
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router
        .ask("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        .await;
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[tokio::test]
async fn a_pause_in_an_upload_does_not_count_as_a_late_answer() {
    let app = App::start(|request: Request<Incoming>| async move {
        text(request.into_body().collect().await.unwrap().to_bytes())
    })
    .await;
    let limits = Limits { response_header: Duration::from_millis(400), ..Limits::default() };
    let router = Running::to(limits, &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").await;
    router.in_flight("shop/a.1", 1).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    talk.send("cd").await;
    assert_eq!(status(&talk.read_until("\r\n\r\nabcd").await), "200");
}

#[tokio::test]
async fn an_answer_may_come_before_the_upload_has_ended() {
    let app = App::raw(|mut stream| async move {
        let _ = read_header(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let mut talk = router.connect().await;
    talk.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc").await;
    assert_eq!(status(&talk.read_until("\r\n\r\nbig").await), "413");
    router.in_flight("shop/a.1", 0).await;
    assert_eq!(router.handle.counts("shop").ok, 1);
}

#[tokio::test]
async fn a_question_about_the_server_as_a_whole_stays_one() {
    let app = mirror().await;
    let router = Running::to(Limits::default(), &[("shop/a.1", app.addr)]);
    let answer = router.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("\r\n\r\nOPTIONS *\n"), "{answer}");
}
