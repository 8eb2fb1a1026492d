//! The way of one request through the layer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::super::emulator::REGION;
use super::call::{Call, Refusal, Service};
use super::faults::Fault;
use super::ledger::Verdict;
use super::{Reply, Shared, Whole, locked};

/// The layers of the test images are by far the largest bodies.
const MOST: usize = 256 << 20;

pub struct Front {
    pub emulator: SocketAddr,
    pub here: SocketAddr,
    pub account: String,
    pub state: Shared,
}

type Pool = Client<HttpConnector, Whole>;

pub async fn accept(listener: TcpListener, front: Arc<Front>) {
    let pool: Pool = Client::builder(TokioExecutor::new()).build_http();
    loop {
        // A connection that broke off before it was accepted is nobody's.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (front, pool) = (front.clone(), pool.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (front, pool) = (front.clone(), pool.clone());
                async move { front.pass(pool, request).await }
            });
            // An error ends the connection, which is all that the other side is to see.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What is left of a request once its body has been read.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Front {
    /// An error closes the connection without an answer.
    async fn pass(&self, pool: Pool, request: Request<Incoming>) -> io::Result<Response<Whole>> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MOST).collect().await.map_err(io::Error::other)?.to_bytes();
        let mut asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers, body };
        let Some(call) = Call::read(&asked.headers, &asked.body) else {
            self.sign(&mut asked);
            let answer = self.forward(&pool, &asked).await?;
            return Ok(answer);
        };
        let fault = {
            let mut state = locked(&self.state);
            *state.counts.entry(call.permission()).or_default() += 1;
            state.faults.next(&call)
        };
        match fault {
            None | Some(Fault::LoseAnswer) => {}
            Some(Fault::Throttle) => return Ok(call.refused(&call.throttled())),
            Some(Fault::Expired) => return Ok(call.refused(&expired())),
            Some(Fault::Drop) => return Err(io::Error::other("told to drop it")),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        }
        let answer = self.carry_out(&pool, &asked, &call).await?;
        if fault == Some(Fault::LoseAnswer) {
            return Err(io::Error::other("told to lose the answer"));
        }
        Ok(answer)
    }

    async fn carry_out(&self, pool: &Pool, asked: &Asked, call: &Call) -> io::Result<Response<Whole>> {
        let verdict = locked(&self.state).ledger.judge(call);
        match verdict {
            Verdict::Refuse(refusal) => {
                let line = format!("{}: {} {}", call.permission(), refusal.code, refusal.message);
                locked(&self.state).refused.push(line);
                Ok(call.refused(&refusal))
            }
            Verdict::Replay(reply) => Ok(replayed(&reply)),
            Verdict::Forward => {
                let answer = self.forward(pool, asked).await?;
                self.note(call, answer).await
            }
        }
    }

    /// Takes an answer down, and says where the registry is.
    async fn note(&self, call: &Call, answer: Response<Whole>) -> io::Result<Response<Whole>> {
        let (mut parts, body) = answer.into_parts();
        let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if call.service == Service::Ecr {
            let registry = format!("{}.dkr.ecr.{REGION}.amazonaws.com", self.account);
            let text = String::from_utf8_lossy(&body)
                .replace(&format!("https://{registry}"), &format!("http://{}", self.here));
            body = Bytes::from(text.replace(&registry, &self.here.to_string()));
            parts.headers.remove(CONTENT_LENGTH);
        }
        if parts.status.is_success() {
            let kind =
                parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
            let reply = Reply { status: parts.status.as_u16(), content_type: kind, body: body.clone() };
            locked(&self.state).ledger.record(call, &reply);
        }
        Ok(Response::from_parts(parts, Whole::new(body)))
    }

    async fn forward(&self, pool: &Pool, asked: &Asked) -> io::Result<Response<Whole>> {
        let path = asked.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request =
            Request::builder().method(asked.method.clone()).uri(format!("http://{}{path}", self.emulator));
        for (name, value) in &asked.headers {
            let ours = [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING].contains(name);
            request = if ours { request } else { request.header(name, value) };
        }
        let request = request.body(Whole::new(asked.body.clone())).map_err(io::Error::other)?;
        let answer = pool.request(request).await.map_err(io::Error::other)?;
        let (mut parts, body) = answer.into_parts();
        let body = Limited::new(body, MOST).collect().await.map_err(io::Error::other)?.to_bytes();
        parts.headers.remove(CONNECTION);
        parts.headers.remove(TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, Whole::new(body)))
    }

    /// The emulator tells accounts apart by their credentials alone.
    fn sign(&self, asked: &mut Asked) {
        let value = format!("AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/ecs/aws4_request", self.account);
        asked.headers.insert(AUTHORIZATION, HeaderValue::try_from(value).expect("an account of digits"));
    }
}

fn expired() -> Refusal {
    Refusal::new("ExpiredTokenException", "The security token included in the request is expired")
}

fn replayed(reply: &Reply) -> Response<Whole> {
    let mut response = Response::new(Whole::new(reply.body.clone()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    if let Ok(kind) = HeaderValue::try_from(&reply.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
