//! The demo that the README sends newcomers to.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demo_runs_and_loses_no_request() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(root.join("demo"))
        .env("TAPIT_BIN", env!("CARGO_BIN_EXE_tapit"))
        .stdin(std::process::Stdio::null())
        .output()
        .expect("./demo");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains(" sent, 0 failed"), "{out}\n{err}");
}
