//! A small HTTP/1.1 client that hides nothing: one connection, one request at a time, answers with a length.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the router holds a request.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_BODY: u64 = 1 << 20;

pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One connection, used for as many requests as the other side allows.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn get(&mut self, host: &str, path: &str) -> Result<Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tests\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let wrong = |text: &str| Error::new(ErrorKind::InvalidData, format!("{text:?} is no HTTP"));
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| wrong(&status))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| wrong(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.as_str());
        let length: u64 =
            length.and_then(|text| text.parse().ok()).filter(|n| *n <= MAX_BODY).ok_or_else(|| wrong("no length"))?;
        let mut body = String::new();
        let read = self.stream.by_ref().take(length).read_to_string(&mut body)?;
        if read as u64 != length {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the body was cut short"));
        }
        Ok(Response { status, headers, body })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.by_ref().take(MAX_BODY).read_line(&mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One request on a connection of its own.
pub fn get(to: SocketAddr, host: &str, path: &str) -> Result<Response> {
    Connection::open(to)?.get(host, path)
}
