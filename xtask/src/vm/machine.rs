//! Boots one emulated machine, reads its console, and counts what it says.
//!
//! A guest speaks in lines that begin with `@@`: `ok NAME`, `failed NAME`, `note TEXT`, `log TEXT` and at last `end`. All
//! else on the console goes to the scene's log file.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::disks::Disks;
use super::{Scene, VmError};

/// What a scene came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    ok: usize,
    failed: usize,
    /// Scenes that did not get to their end.
    cut_short: usize,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.cut_short += other.cut_short;
    }

    /// A scene that looked at nothing has not shown anything.
    pub fn is_good(&self) -> bool {
        self.ok > 0 && self.failed == 0 && self.cut_short == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ok, {} failed", self.ok, self.failed)?;
        if self.cut_short > 0 { write!(f, ", {} cut short", self.cut_short) } else { Ok(()) }
    }
}

/// A line of a guest.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Ok(&'a str),
    Failed(&'a str),
    Note(&'a str),
    End,
    Else,
}

fn parse(line: &str) -> Said<'_> {
    // systemd puts the console's colours and its own words before a line.
    let Some((_, said)) = line.split_once("@@ ") else { return Said::Else };
    let (word, text) = said.split_once(' ').unwrap_or((said, ""));
    match word {
        "ok" => Said::Ok(text),
        "failed" => Said::Failed(text),
        "note" | "log" => Said::Note(text),
        "end" => Said::End,
        _ => Said::Else,
    }
}

/// Ends with the machine's end, however that comes.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and is waited for all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn boot(disks: &Disks, scene: &Scene) -> Result<Outcome, VmError> {
    let path = disks.directory.join(format!("{}.log", scene.name));
    let mut log = File::create(&path).map_err(|source| VmError::Write { path: path.clone(), source })?;
    let mut machine = Machine(qemu(disks, scene).spawn().map_err(|source| VmError::Qemu { source })?);
    let (send, lines) = mpsc::channel();
    if let Some(stdout) = machine.0.stdout.take() {
        // Ends with the pipe, which ends with the machine.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
    }
    let end = Instant::now() + Duration::from_secs(scene.seconds);
    let mut outcome = Outcome { cut_short: 1, ..Outcome::default() };
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        writeln!(log, "{line}").map_err(|source| VmError::Write { path: path.clone(), source })?;
        match parse(&line) {
            Said::Ok(name) => {
                outcome.ok += 1;
                println!("  ok      {name}");
            }
            Said::Failed(name) => {
                outcome.failed += 1;
                println!("  FAILED  {name}");
            }
            Said::Note(text) => println!("          {text}"),
            Said::End => {
                outcome.cut_short = 0;
                break;
            }
            Said::Else => {}
        }
    }
    if !outcome.is_good() {
        println!("          the machine's console is in {}", path.display());
    }
    Ok(outcome)
}

fn qemu(disks: &Disks, scene: &Scene) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    command.args(["-nographic", "-no-reboot", "-nic", "none", "-kernel"]).arg(&disks.kernel);
    command.arg("-initrd").arg(&disks.initramfs);
    // A login prompt would hang up the console under the feet of the scene.
    let console = "console=ttyS0 quiet panic=1 systemd.mask=serial-getty@ttyS0.service";
    command.arg("-append").arg(format!("{console} scene={} scene_init={}", scene.name, scene.init));
    for disk in [&disks.system, &disks.payload] {
        // Written to a file that qemu forgets: every scene starts from the same disks.
        command.arg("-drive").arg(format!("file={},if=virtio,format=raw,snapshot=on", disk.display()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_speaks_in_marked_lines() {
        assert_eq!(parse("@@ ok a b"), Said::Ok("a b"));
        assert_eq!(parse("\u{1b}[0m[  12.5] sh[7]: @@ failed it"), Said::Failed("it"));
        assert_eq!(parse("@@ end"), Said::End);
        for other in ["", "ok", "@@", "@@ maybe so"] {
            assert_eq!(parse(other), Said::Else, "{other:?}");
        }
    }

    #[test]
    fn a_scene_that_shows_nothing_or_does_not_end_is_no_success() {
        let outcome = |ok, failed, cut_short| Outcome { ok, failed, cut_short };
        assert!(outcome(3, 0, 0).is_good());
        for bad in [outcome(0, 0, 0), outcome(3, 1, 0), outcome(3, 0, 1)] {
            assert!(!bad.is_good(), "{bad}");
        }
    }
}
