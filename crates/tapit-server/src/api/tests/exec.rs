//! A command in an instance, as frames over an upgraded connection; the script echoes input and ends with its end.

use std::time::Duration;

use tapit_model::{Code, EXEC_PROTOCOL, ExecFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::client::Ask;
use super::{Server, tcp};

const PATH: &str = "/v1/apps/shop/processes/web/exec?command=cat";
/// Reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn upgrade(line: &str) -> Ask {
    Ask::new(line).header("Connection", "Upgrade").header("Upgrade", EXEC_PROTOCOL)
}

struct Frames(UnixStream);

impl Frames {
    /// Asks for an upgrade and reads the head of the answer.
    async fn open(server: &Server) -> Self {
        let mut stream = server.connect().await;
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {EXEC_PROTOCOL}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the head is taken");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.starts_with("http/1.1 101 ") && answer.contains("upgrade: tapit-exec/1"), "{answer}");
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the frame is taken");
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<ExecFrame> {
        let read = async {
            let mut header = [0; ExecFrame::HEADER];
            self.0.read_exact(&mut header).await.ok()?;
            let (kind, length) = ExecFrame::header(header).expect("a legal header");
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.expect("a whole frame");
            Some(ExecFrame::decode(kind, payload).expect("a legal frame"))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a frame in time")
    }
}

#[tokio::test]
async fn frames_go_both_ways_and_the_last_is_the_status() {
    let server = Server::start();
    let mut frames = Frames::open(&server).await;
    frames.send(&ExecFrame::Stdin(b"one".to_vec()).encode()).await;
    assert_eq!(frames.next().await, Some(ExecFrame::Stdout(b"one".to_vec())));
    assert_eq!(frames.next().await, Some(ExecFrame::Taken(3)));
    frames.send(&ExecFrame::Signal(2).encode()).await;
    assert_eq!(frames.next().await, Some(ExecFrame::Stderr(b"signal 2".to_vec())));
    frames.send(&ExecFrame::StdinEnd.encode()).await;
    assert_eq!(frames.next().await, Some(ExecFrame::Exit(7)));
    assert_eq!(frames.next().await, None);
}

#[tokio::test]
async fn a_client_may_still_talk_when_the_command_has_ended() {
    let server = Server::start();
    let mut frames = Frames::open(&server).await;
    frames.send(&ExecFrame::StdinEnd.encode()).await;
    assert_eq!(frames.next().await, Some(ExecFrame::Exit(7)));
    assert_eq!(frames.next().await, None);
    frames.send(&ExecFrame::Stdin(b"late".to_vec()).encode()).await;
}

#[tokio::test]
async fn a_frame_that_is_none_ends_the_session_with_a_reason() {
    let server = Server::start();
    let wrong: [&[u8]; 4] =
        [&[1, 0xff, 0, 0, 0], &[9, 0, 0, 0, 0], &ExecFrame::Exit(0).encode(), &ExecFrame::Signal(65).encode()];
    for bytes in wrong {
        let mut frames = Frames::open(&server).await;
        frames.send(bytes).await;
        let Some(ExecFrame::Error(refusal)) = frames.next().await else { panic!("no error after {bytes:?}") };
        assert_eq!(refusal.code, Code::Usage, "{refusal:?}");
        assert_eq!(frames.next().await, None);
    }
}

#[tokio::test]
async fn whoever_hangs_up_ends_the_command() {
    let server = Server::start();
    let frames = Frames::open(&server).await;
    drop(frames);
    server.until("the command was let go of", |server| server.script.let_go() == 1).await;
}

#[tokio::test]
async fn a_server_that_ends_says_so_to_a_running_command() {
    let server = Server::start();
    let mut frames = Frames::open(&server).await;
    server.script.close();
    let Some(ExecFrame::Error(refusal)) = frames.next().await else { panic!("no error") };
    assert_eq!(refusal.code, Code::Unavailable);
    assert_eq!(frames.next().await, None);
}

#[tokio::test]
async fn what_can_be_refused_is_refused_before_the_upgrade() {
    let server = Server::start();
    let post = |path: &str| upgrade(&format!("POST {path}"));
    let base = "/v1/apps/shop/processes/web/exec";
    server.ask(Ask::new(&format!("POST {PATH}"))).await.refuses(426, "usage", "Upgrade: tapit-exec/1");
    server.ask(post(base)).await.refuses(400, "usage", "command");
    server.ask(post(&format!("{base}?command="))).await.refuses(400, "usage", "empty");
    server.ask(post(&format!("{base}?command=x&tty=80"))).await.refuses(400, "usage", "80x24");
    server.ask(post(&format!("{base}?command=x&instance="))).await.refuses(400, "usage", "instance=");
    server.ask(post(&format!("{base}?command=x&nonsense=1"))).await.refuses(400, "usage", "nonsense");
    server.ask(post(&format!("{base}?command=x&instance=gone.1"))).await.refuses(404, "not_found", "gone.1");
    let (address, _stop) = tcp(Some("secret")).await;
    let stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    post(PATH).over(stream).await.refuses(403, "denied", "token");
    let elsewhere = post(PATH).header("Origin", "http://elsewhere");
    server.ask(elsewhere).await.refuses(403, "denied", "another site");
}
