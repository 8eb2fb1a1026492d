//! HTTP as bytes, so that a test can also send what no library would.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub struct Ask {
    head: String,
    body: Vec<u8>,
}

impl Ask {
    /// `GET /path`
    pub fn new(line: &str) -> Self {
        Self { head: format!("{line} HTTP/1.1\r\nConnection: close\r\n"), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").bytes(body.as_bytes())
    }

    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body = body.to_owned();
        self.header("Content-Length", &body.len().to_string())
    }

    pub async fn over(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
        let head =
            if self.head.contains("\r\nHost:") { self.head } else { format!("{}Host: localhost\r\n", self.head) };
        stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("the head is taken");
        // A server that has refused already may not read the body.
        let _ = stream.write_all(&self.body).await;
        let mut text = Vec::new();
        // The same server ends with a reset when it has not read all; what came before it is the answer.
        let _ = stream.read_to_end(&mut text).await;
        Answer::parse(&text)
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub json: Value,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        Self { status, head: head.to_owned(), json: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    /// Code and message of a refusal; fails on any other body.
    pub fn refusal(&self) -> (&str, &str) {
        let field = |name: &str| self.json[name].as_str().unwrap_or_else(|| panic!("not a refusal: {self:?}"));
        (field("code"), field("message"))
    }

    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str, part: &str) {
        let (found, message) = self.refusal();
        assert_eq!((self.status, found), (status, code), "{message}");
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}
