//! Builds the program that is every container's monitor and process 1, to be carried by this crate as bytes.
//!
//! It is a program without libraries, which Cargo cannot build as part of another one: it needs the linker's arguments for
//! itself alone. So the compiler is run here, the same one for the same target; nothing else is needed and nothing is
//! fetched.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SOURCE: &str = "../tapit-monitor/src";
/// Small rather than fast, without unwinding, at a fixed address: then no page of it is ever written to, and all that run
/// share one copy. No line of it speaks with a network, which is where a random address would help.
const CODEGEN: [&str; 5] =
    ["panic=abort", "opt-level=s", "relocation-model=static", "strip=symbols", "codegen-units=1"];
const LINKER: [&str; 7] = [
    "-nostartfiles",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
    "-Wl,-z,norelro",
    "-Wl,--no-eh-frame-hdr",
];

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=build.rs");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("building the monitor's program: {text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let out = PathBuf::from(variable("OUT_DIR")?).join("tapit-monitor");
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc
        .arg(Path::new(SOURCE).join("main.rs"))
        .args(["--crate-name", "tapit_monitor_program", "--crate-type", "bin", "--edition", "2024"])
        .args(["--cfg", "tapit_program", "--target"])
        .arg(variable("TARGET")?)
        .arg("-o")
        .arg(&out);
    if let Ok(linker) = variable("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    for option in CODEGEN {
        rustc.args(["-C", option]);
    }
    for argument in LINKER {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    let status = rustc.status().map_err(|error| format!("running the compiler: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the compiler ended with {status}")) }
}
