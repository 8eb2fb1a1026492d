//! A registry that does as it is told, wrong things too, and counts what it is asked for.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What is answered for a path.
#[derive(Clone)]
pub enum Reply {
    Body(Vec<u8>),
    Status(u16),
    /// States the whole length, sends half, hangs up.
    HalfOf(Vec<u8>),
    /// Says nothing until the registry ends.
    Silence,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    asked: Vec<String>,
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
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                silent.extend(serve(stream, &shared));
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

    pub fn blob(&self, repository: &str, bytes: &[u8]) {
        let path = format!("/v2/{repository}/blobs/{}", crate::archives::digest(bytes));
        self.set(&path, Reply::Body(bytes.to_vec()));
    }

    pub fn manifest(&self, repository: &str, tag: &str, bytes: &[u8]) {
        for name in [tag.to_owned(), crate::archives::digest(bytes)] {
            self.set(&format!("/v2/{repository}/manifests/{name}"), Reply::Body(bytes.to_vec()));
        }
    }

    /// How often a path was asked for that holds this text.
    pub fn asked(&self, text: &str) -> usize {
        self.state.lock().expect("state").asked.iter().filter(|path| path.contains(text)).count()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// Answers one request. Returns the connection when it is to be kept silent.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<TcpStream> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    // The headers end at an empty line.
    lines.map_while(Result::ok).find(|line| line.is_empty())?;
    let reply = {
        let mut state = state.lock().expect("state");
        state.asked.push(path.clone());
        let known = state.replies.get(&path).cloned();
        known.unwrap_or(if path == "/v2/" { Reply::Body(Vec::new()) } else { Reply::Status(404) })
    };
    let (status, length, body) = match reply {
        Reply::Body(body) => (200, body.len(), body),
        Reply::Status(status) => (status, 0, Vec::new()),
        Reply::HalfOf(body) => (200, body.len(), body[..body.len() / 2].to_vec()),
        Reply::Silence => return Some(stream),
    };
    let head = format!("HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    None
}
