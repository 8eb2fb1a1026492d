//! A small web app for the demo and the tests: HTTP/1.1 with keep-alive, nothing but the standard library.
//!
//! `GET /` says which instance answered. `/slow?ms=N` answers after N milliseconds, `/env` lists the variables, `/burn`
//! keeps a thread busy for ever, `/leak?mb=N` takes N MB and keeps them, `/exit?code=N` ends the program, `/sick` makes
//! `/healthz` answer 503 from then on. With the argument `--fail` it exits at once with status 3.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static SICK: AtomicBool = AtomicBool::new(false);
static LEAKED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn main() {
    if std::env::args().any(|arg| arg == "--fail") {
        eprintln!("web: told to fail");
        std::process::exit(3);
    }
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("web: cannot listen on port {port}: {error}");
            std::process::exit(1);
        }
    };
    println!("web: {} listens on port {port}", variable("TAPIT_INSTANCE"));
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(&stream));
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| "?".to_owned())
}

/// Answers requests on one connection until either side ends it.
fn serve(stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        let mut close = request.ends_with("HTTP/1.0");
        for header in lines.by_ref() {
            match header {
                Ok(header) if header.is_empty() => break,
                Ok(header) => close |= header.eq_ignore_ascii_case("connection: close"),
                Err(_) => return,
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("/");
        let (status, body) = answer(path);
        let connection = if close { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        );
        let mut out = stream;
        if out.write_all(format!("{head}{body}").as_bytes()).is_err() || close {
            return;
        }
    }
}

fn answer(path: &str) -> (&'static str, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let number = |default: u64| query.split_once('=').and_then(|(_, n)| n.parse().ok()).unwrap_or(default);
    match path {
        "/" => {
            let (app, version) = (variable("TAPIT_APP"), variable("TAPIT_VERSION"));
            ("200 OK", format!("hello from {} of {app}, version {version}\n", variable("TAPIT_INSTANCE")))
        }
        "/slow" => {
            std::thread::sleep(Duration::from_millis(number(1000)));
            ("200 OK", format!("slow answer from {}\n", variable("TAPIT_INSTANCE")))
        }
        "/env" => ("200 OK", std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect()),
        "/burn" => {
            std::thread::spawn(|| {
                loop {
                    std::hint::black_box(0);
                }
            });
            ("200 OK", "burning\n".to_owned())
        }
        "/leak" => {
            let taken = vec![1; usize::try_from(number(1)).unwrap_or(1) << 20];
            LEAKED.lock().expect("nothing panics while it holds the lock").push(taken);
            ("200 OK", "leaked\n".to_owned())
        }
        "/exit" => std::process::exit(i32::try_from(number(0)).unwrap_or(1)),
        "/sick" => {
            SICK.store(true, Ordering::Relaxed);
            ("200 OK", "sick from now on\n".to_owned())
        }
        "/healthz" if SICK.load(Ordering::Relaxed) => ("503 Service Unavailable", "sick\n".to_owned()),
        "/healthz" => ("200 OK", "well\n".to_owned()),
        _ => ("404 Not Found", format!("nothing at {path}\n")),
    }
}
