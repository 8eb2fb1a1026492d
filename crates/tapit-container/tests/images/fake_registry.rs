//! A registry that does as it is told, wrong things too, and counts what it is asked for.
//!
//! The tests of the whole program use this file as well.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest, Sha256};

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// What is answered for a path.
#[derive(Clone)]
pub enum Reply {
    Body(Vec<u8>),
    Status(u16),
    /// States the whole length, sends half, hangs up.
    HalfOf(Vec<u8>),
    /// Says nothing until the registry ends.
    Silence,
    /// A status with headers and a body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Sends what it is asked for by `Range`, but at most so many bytes before it hangs up.
    Ranged(Vec<u8>, usize),
    /// A byte now and then, and never an end.
    Trickle(Vec<u8>),
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Script = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    script: Option<Script>,
    requests: Vec<Request>,
    /// Connections that are kept silent.
    silent: Vec<TcpStream>,
}

pub struct FakeRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl FakeRegistry {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let state = Arc::new(Mutex::new(State::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (state.clone(), over.clone());
        let listening = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, ended) = (shared.clone(), ended.clone());
                std::thread::spawn(move || serve(stream, &shared, &ended));
            }
        });
        Self { address, state, over, listening: Some(listening) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, path: &str, reply: Reply) {
        self.state.lock().expect("state").replies.insert(path.to_owned(), reply);
    }

    /// Asked before the replies that are set; `None` leaves the answer to them.
    pub fn script(&self, script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) {
        self.state.lock().expect("state").script = Some(Arc::new(script));
    }

    pub fn blob(&self, repository: &str, bytes: &[u8]) {
        let path = format!("/v2/{repository}/blobs/{}", digest(bytes));
        self.set(&path, Reply::Body(bytes.to_vec()));
    }

    pub fn manifest(&self, repository: &str, tag: &str, bytes: &[u8]) {
        for name in [tag.to_owned(), digest(bytes)] {
            self.set(&format!("/v2/{repository}/manifests/{name}"), Reply::Body(bytes.to_vec()));
        }
    }

    /// How often a path was asked for that holds this text.
    pub fn asked(&self, text: &str) -> usize {
        self.requests(text).len()
    }

    /// What was asked of a path that holds this text.
    pub fn requests(&self, text: &str) -> Vec<Request> {
        let state = self.state.lock().expect("state");
        state.requests.iter().filter(|request| request.path.contains(text)).cloned().collect()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        if let Ok(mut state) = self.state.lock() {
            state.silent.clear();
        }
    }
}

/// Answers one request.
fn serve(mut stream: TcpStream, state: &Mutex<State>, over: &AtomicBool) {
    let Some(request) = read(&stream) else { return };
    let script = {
        let mut state = state.lock().expect("state");
        state.requests.push(request.clone());
        state.script.clone()
    };
    let scripted = script.and_then(|script| script(&request));
    let reply = scripted.unwrap_or_else(|| {
        let known = state.lock().expect("state").replies.get(&request.path).cloned();
        known.unwrap_or(if request.path == "/v2/" { Reply::Body(Vec::new()) } else { Reply::Status(404) })
    });
    let written = match reply {
        Reply::Body(body) => write(&mut stream, (200, &[]), body.len(), &body),
        Reply::Status(status) => write(&mut stream, (status, &[]), 0, &[]),
        Reply::HalfOf(body) => write(&mut stream, (200, &[]), body.len(), &body[..body.len() / 2]),
        Reply::Full(status, headers, body) => write(&mut stream, (status, &headers), body.len(), &body),
        Reply::Ranged(body, most) => ranged(&mut stream, &request, &body, most),
        Reply::Trickle(body) => trickle(&mut stream, &body, over),
        Reply::Silence => {
            state.lock().expect("state").silent.push(stream);
            return;
        }
    };
    // Whoever asked may have hung up, which is its own affair.
    drop(written);
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn write(
    stream: &mut TcpStream,
    (status, headers): (u16, &[(&'static str, String)]),
    length: usize,
    body: &[u8],
) -> std::io::Result<()> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Told\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn ranged(stream: &mut TcpStream, request: &Request, body: &[u8], most: usize) -> std::io::Result<()> {
    let range = request.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    let from: usize = range.and_then(|from| from.parse().ok()).unwrap_or(0);
    let rest = &body[from..];
    let sent = &rest[..most.min(rest.len())];
    if from == 0 {
        return write(stream, (200, &[]), rest.len(), sent);
    }
    let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
    write(stream, (206, &[("Content-Range", range)]), rest.len(), sent)
}

fn trickle(stream: &mut TcpStream, body: &[u8], over: &AtomicBool) -> std::io::Result<()> {
    write(stream, (200, &[]), body.len(), &[])?;
    for byte in body {
        if over.load(Ordering::SeqCst) {
            break;
        }
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
