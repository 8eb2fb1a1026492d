//! Who is let in.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::client::{Answer, Ask};
use super::script::Script;
use super::{Server, tcp};
use crate::api::guard::Door;
use crate::api::spool::Limits;
use crate::api::{Api, router, serve};

async fn ask(address: std::net::SocketAddr, ask: Ask) -> Answer {
    ask.over(TcpStream::connect(address).await.unwrap()).await
}

#[tokio::test]
async fn on_tcp_an_unexpected_host_name_is_refused() {
    let (address, _stop) = tcp(None).await;
    let status = || Ask::new("GET /v1/status");
    assert_eq!(ask(address, status().header("Host", &address.to_string())).await.status, 200);
    assert_eq!(ask(address, status().header("Host", "localhost")).await.status, 200);
    ask(address, status().header("Host", "rebound.example")).await.refuses(403, "denied", "host name");
    let absolute = Ask::new("GET http://rebound.example/v1/status").header("Host", "localhost");
    ask(address, absolute).await.refuses(403, "denied", "host name");
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let (address, _stop) = tcp(None).await;
    let foreign = Ask::new("DELETE /v1/apps/shop").header("Origin", "https://evil.example");
    ask(address, foreign).await.refuses(403, "denied", "another site");
    let server = Server::start();
    let foreign = Ask::new("DELETE /v1/apps/shop").header("Origin", "null");
    server.ask(foreign).await.refuses(403, "denied", "another site");
    assert!(server.script.calls().is_empty());
}

#[tokio::test]
async fn on_tcp_a_configured_token_opens_every_path_and_nothing_else_does() {
    let (address, _stop) = tcp(Some("secret")).await;
    for line in ["GET /v1/status", "GET /v1/openapi.json", "GET /nowhere", "PUT /v1/apps"] {
        ask(address, Ask::new(line)).await.refuses(403, "denied", "wants a token");
        let wrong = Ask::new(line).header("Authorization", "Bearer wrong");
        ask(address, wrong).await.refuses(403, "denied", "not the server's");
    }
    let right = Ask::new("GET /v1/status").header("Authorization", "Bearer secret").header("Host", "tapit.example");
    assert_eq!(ask(address, right).await.status, 200);
}

#[tokio::test]
async fn another_user_is_told_that_the_socket_is_not_for_him() {
    let api =
        Api { core: Arc::new(Script::new(PathBuf::new())), limits: Limits::default(), sessions: Default::default() };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (_stop, stopped) = tokio::sync::watch::channel(());
    tokio::spawn(serve::connection(far, router(api, Door::Stranger { uid: 1234 }), stopped));
    Ask::new("GET /v1/status").over(near).await.refuses(403, "denied", "user 1234");
}
