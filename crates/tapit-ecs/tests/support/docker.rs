//! The Docker daemon, over its socket: what runs for whom, and the death of a container on demand.
//!
//! No `docker` program is needed; Debian has begun to package it apart from the daemon.

use std::io::{Error, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

const SOCKET: &str = "/var/run/docker.sock";
/// The oldest version that daemons of today still speak.
const VERSION: &str = "v1.40";
/// Stopping a container is the longest of what is asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// A container, with what the emulator says of it in its labels.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub state: String,
    /// ARN of the task that it is.
    pub task: String,
    pub cluster: String,
    /// On Docker's own bridge, which is where the emulator puts all of them.
    pub ip: String,
    /// Which emulator made it: `tapit-tests:PORT` is one of ours.
    pub emulator: String,
}

/// `Err` says why it cannot be used.
pub fn answers() -> std::result::Result<(), String> {
    let reason = |error: Error| format!("no Docker daemon answers at {SOCKET}: {error}");
    ask("GET", "/_ping").map(drop).map_err(reason)
}

/// All containers with this label, also those that have ended.
pub fn containers(label: &str) -> Result<Vec<Container>> {
    let filters = escape(&json!({ "label": [label] }).to_string());
    let answer = ask("GET", &format!("/{VERSION}/containers/json?all=1&filters={filters}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |value: &Value| Container {
        id: text(&value["Id"]),
        name: text(&value["Names"][0]),
        state: text(&value["State"]),
        task: text(&value["Labels"]["com.amazonaws.ecs.task-arn"]),
        cluster: text(&value["Labels"]["com.amazonaws.ecs.cluster"]),
        ip: text(&value["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]),
        emulator: text(&value["Labels"]["ministack.instance"]),
    };
    Ok(answer.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(one).collect())
}

/// As `docker kill`: no chance to tidy up.
pub fn kill(id: &str) -> Result<()> {
    ask("POST", &format!("/{VERSION}/containers/{id}/kill")).map(drop)
}

pub fn remove(id: &str) -> Result<()> {
    ask("DELETE", &format!("/{VERSION}/containers/{id}?force=1&v=1")).map(drop)
}

/// Forgets the images that were pulled from a registry, so that test runs do not pile up.
pub fn remove_images(registry: &str) -> Result<()> {
    let images = ask("GET", &format!("/{VERSION}/images/json?digests=1"))?;
    let begins = format!("{registry}/");
    let names = images.as_array().map(Vec::as_slice).unwrap_or_default().iter().flat_map(|image| {
        let lists = [&image["RepoTags"], &image["RepoDigests"]].into_iter().filter_map(Value::as_array);
        lists.flatten().filter_map(Value::as_str).filter(|name| name.starts_with(&begins)).collect::<Vec<_>>()
    });
    for name in names {
        // Its last name takes the image with it; a name that went along with another one is not there any more.
        let _ = ask("DELETE", &format!("/{VERSION}/images/{name}?force=1"));
    }
    Ok(())
}

fn ask(method: &str, path: &str) -> Result<Value> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // An answer to HTTP/1.0 ends with the connection and comes in one piece.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(Error::other(format!("{method} {path}: {status} {}", body.trim())));
    }
    Ok(serde_json::from_str(body).unwrap_or_default())
}

fn escape(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
