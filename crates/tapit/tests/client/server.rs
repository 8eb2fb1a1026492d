//! A scripted server: answers requests in a given order and remembers them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::User;

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Server {
    dir: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `(request line, status, body)` in the order in which they are expected. Any other request, and any beyond the
    /// last, is answered with a failure that names it. Status 0 hangs up; a body that ends with `CUT` breaks off there.
    pub fn answering(script: &[(&str, u16, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("a socket");
        let script: Vec<(String, u16, String)> =
            script.iter().map(|(line, status, body)| ((*line).to_owned(), *status, (*body).to_owned())).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let mut script = script.into_iter();
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let Some(request) = read(&stream) else { return };
                let (status, body) = match script.next() {
                    Some((line, status, body)) if line == request.line => (status, body),
                    other => (500, format!("expected {other:?}, got {}", request.line)),
                };
                log.lock().expect("the log").push(request);
                if status != 0 {
                    answer(stream, status, &body);
                }
            }
        });
        Self { dir, seen, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.dir.path().join("s").display())
    }

    /// A script that talks to this server.
    pub fn user(&self) -> User {
        User::script().with("TAPIT_BASEURL", &self.url())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A connection without a request ends the thread.
        drop(UnixStream::connect(self.dir.path().join("s")));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

fn read(stream: &UnixStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    let line = next().strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<String> = std::iter::repeat_with(&mut next).take_while(|line| !line.is_empty()).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = Vec::new();
    if headers.iter().any(|header| header == "transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).expect("a size");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("a size in hex");
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).expect("a chunk");
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(length.unwrap_or(0), 0);
        reader.read_exact(&mut body).expect("a body");
    }
    Some(Seen { line, headers, body })
}

pub const CUT: &str = "<cut>";

fn answer(mut stream: UnixStream, status: u16, body: &str) {
    let (body, length) = match body.strip_suffix(CUT) {
        Some(begun) => (begun, begun.len() + 1),
        None => (body, body.len()),
    };
    // A client that has gone away is part of some tests.
    let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
}

pub fn app(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","status":"running","image":"a:b","url":"http://{name}.localhost:8080","processes":["default"],
        "created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z"}}"#
    )
}

pub fn process(name: &str, status: &str) -> String {
    process_with(name, status, "[]")
}

/// A process of the app `shop`, blocked as given.
pub fn process_with(name: &str, status: &str, blocked: &str) -> String {
    format!(
        r#"{{"name":"{name}","app":"shop","engine":"embedded","status":"{status}","disabled":false,"public":false,"url":null,
        "memory":0.5,"cpu":0.25,"demand_count":3,"spot_count":2,"spot_fallback":null,"fallback":0,"running":{{"demand":2,"spot":1}},
        "pending":{{"demand":1,"spot":1}},"command":["python","my worker.py"],"image":"myapp/api:v1","image_digest":null,
        "version":null,"port":8080,"health":{{"check":"http","path":"/up","timeout":60,"min_healthy_time":2}},
        "drain_timeout":30,"stop_timeout":30,"userns":false,"cap_add":["NET_RAW"],"generation":4,"running_generation":3,
        "created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z","restarted_at":null,
        "rollout":{{"id":7,"kind":"update","state":"rolled_back","from":3,"to":4,"started_at":"2026-01-01T00:00:00.000Z",
        "finished_at":"2026-01-01T00:01:00.000Z","reason":"3 instances in a row crashed","last_exit":{{"code":1,"signal":null,
        "oom":false,"at":"2026-01-01T00:00:59.000Z"}},"log_tail":["Traceback","boom\u001b[31m"],
        "requests":{{"sent":10,"ok":9,"failed":0,"retried":1}}}},
        "instances":[{{"id":"{name}.1","kind":"demand","state":"healthy","reason":null,"ip":"10.0.0.2","generation":3,
        "started_at":"2026-01-01T00:00:00.000Z","healthy_at":null,"memory_bytes":12345678,"memory_peak_bytes":null,
        "cpu_percent":1.25,"restarts":0,"last_exit":null}},
        {{"id":"{name}.2","kind":"spot","state":"stopped","reason":"reclaimed","ip":null,"generation":3,"started_at":null,
        "healthy_at":null,"memory_bytes":null,"memory_peak_bytes":null,"cpu_percent":null,"restarts":2,
        "last_exit":{{"code":null,"signal":9,"oom":true,"at":"2026-01-01T00:00:59.000Z"}}}}],
        "blocked":{blocked},"events":[{}]}}"#,
        event(5, name, "instance_healthy")
    )
}

pub fn event(id: u64, process: &str, kind: &str) -> String {
    format!(
        r#"{{"id":{id},"at":"2026-01-01T00:00:00.123Z","app":"shop","process":"{process}","instance":null,"kind":"{kind}",
        "text":"event number {id}"}}"#
    )
}

/// An outcome about a process; `more` are further fields that replace the empty ones.
pub fn outcome(message: &str, process: Option<&str>) -> String {
    let process = process.unwrap_or("null");
    format!(
        r#"{{"message":"{message}","changed":true,"dry_run":false,"inverse":"tapit set process name=web demand_count=2",
        "notes":["a note"],"revision":9,"app":null,"process":{process}}}"#
    )
}

pub fn refusal(code: &str, message: &str) -> String {
    format!(r#"{{"code":"{code}","message":"{message}"}}"#)
}
