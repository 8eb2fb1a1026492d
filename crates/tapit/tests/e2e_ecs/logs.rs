//! What instances write, from CloudWatch: read once, followed, and after an instance is gone.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::{SMALL, Server, holds, until};

const COUNTS: &str = "command='i=0; while true; do echo line $i; i=$((i+1)); sleep 1; done'";

#[test]
fn logs_are_read_and_followed_and_outlive_their_instance() {
    let Some(server) = Server::with_images() else { return };
    server.tapit(&format!("create app shop image=web:v1 {SMALL} --wait")).ok();
    server.tapit(&format!("create process name=counter {SMALL} {COUNTS} --wait")).ok();
    until(30, "written", || {
        let text = server.tapit("logs name=counter").ok().stdout;
        holds(text.contains("line 0") && text.contains("line 1"), text)
    });

    let mut command = server.program();
    command.args(["logs", "-f", "name=counter"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut follower = command.spawn().expect("the client program");
    let stdout = follower.stdout.take().expect("a pipe");
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The test has seen enough.
            let _ = send.send(line);
        }
    });
    let numbers: Result<Vec<u64>, _> =
        (0..5).map(|_| receive.recv_timeout(Duration::from_secs(30)).map(|line| number(&line))).collect();
    let _ = follower.kill();
    let _ = follower.wait();
    let numbers = numbers.expect("a line in time");
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "each once, in order: {numbers:?}");

    server.tapit("set process name=counter disabled=true --wait").ok();
    server.tapit("logs name=counter").ok().says("line 0");
}

/// The number at the end of a line of the counter.
fn number(line: &str) -> u64 {
    let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = json["text"].as_str().unwrap_or_else(|| panic!("no text: {line}"));
    text.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number: {line}"))
}
