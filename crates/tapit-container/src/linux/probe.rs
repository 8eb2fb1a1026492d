//! What this kernel can do to confine containers, found out by trying.
//!
//! The server asks once at its start, to fall back where something is lacking and to say so, and `tapit doctor` asks the
//! same. Namespaces and filters must not be tried in a threaded process that goes on, so the program is run again under a
//! hidden verb; that process tries one thing after the other, prints what came of it, and is gone with all that it made.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use tapit_model::describe;

use super::cgroup::Layout;
use super::devices::{self, Making};
use super::idmap::{self, UserNamespace};
use super::rootfs::{Mapping, Rootfs};
use super::seccomp::Filter;
use super::verbs;
use crate::instance::IdRange;

/// A wall of a container, and whether this host can put it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub feature: &'static str,
    pub present: bool,
    /// Why not; empty where there is nothing to say.
    pub detail: String,
    /// What containers do without.
    pub cost: &'static str,
}

pub const USER_NAMESPACES: &str = "user namespaces";
pub const MAPPED_LAYERS: &str = "id-mapped layers";
pub const SECCOMP: &str = "seccomp filters";
pub const DEVICES: &str = "device control";

const ROOT_IS_ROOT: &str = "root in a container is root on this host, held back by its few capabilities alone, and images \
                            whose program changes its user need cap_add=CHOWN,DAC_OVERRIDE,FOWNER,KILL,SETGID,SETUID";

const FEATURES: [(&str, &str); 4] = [
    (USER_NAMESPACES, ROOT_IS_ROOT),
    (MAPPED_LAYERS, ROOT_IS_ROOT),
    (SECCOMP, "no container can be started"),
    (DEVICES, "device nodes that an image brings along are kept closed by their owners and modes alone"),
];

/// The first of the ids that engines use; nobody's on any sane host.
const TRIED: IdRange = IdRange { base: 0x4000_0000 };

/// Trying takes some milliseconds; on a host that thrashes it may take seconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
const MAX_ANSWER: u64 = 64 * 1024;

/// Whether containers can be put into user namespaces.
pub fn can_map_ids(findings: &[Finding]) -> bool {
    let needed = |finding: &&Finding| [USER_NAMESPACES, MAPPED_LAYERS].contains(&finding.feature);
    findings.iter().filter(needed).all(|finding| finding.present)
}

/// Finds out. `exe` is the program to run again, one that calls `child_main` first; `dir` is where containers are to have
/// their files, since not every filesystem can map owners. Blocks for some milliseconds.
pub fn findings(exe: &Path, dir: &Path) -> Vec<Finding> {
    let tried = ask(exe, dir);
    let finding = |(feature, cost): (&'static str, &'static str)| {
        let lacking = match &tried {
            Ok(tried) => match tried.iter().find(|tried| tried.feature == feature) {
                Some(tried) => tried.lacking.clone(),
                None => Some("it was not tried: the check ended before".to_owned()),
            },
            Err(error) => Some(format!("it cannot be tried: {error}")),
        };
        Finding { feature, present: lacking.is_none(), detail: lacking.unwrap_or_default(), cost }
    };
    FEATURES.into_iter().map(finding).collect()
}

/// One line of the helper's answer.
#[derive(Debug, Serialize, Deserialize)]
struct Tried {
    feature: String,
    lacking: Option<String>,
}

/// A helper that dies on the way has still said what it got to know.
fn ask(exe: &Path, dir: &Path) -> io::Result<Vec<Tried>> {
    let mut child = Command::new(exe)
        .arg(verbs::PROBE)
        .arg(dir)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            other => break other,
        }
    };
    // What it prints is less than a pipe holds, so it never waited for us.
    if !matches!(ended, Ok(Some(_))) {
        child.kill()?;
        child.wait()?;
    }
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_string(&mut text)?;
    }
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The helper's side.
pub fn main(dir: &Path) -> ExitCode {
    let say = |feature: &str, result: Result<(), String>| {
        let tried = Tried { feature: feature.to_owned(), lacking: result.err() };
        if let Ok(mut line) = serde_json::to_vec(&tried) {
            line.push(b'\n');
            // Whoever asked and is gone needs no answer.
            let _ = io::stdout().write_all(&line).and_then(|()| io::stdout().flush());
        }
    };
    let namespace = user_namespace();
    match &namespace {
        Ok(namespace) => {
            say(USER_NAMESPACES, Ok(()));
            say(MAPPED_LAYERS, mapped_layers(dir, namespace));
        }
        Err(why) => {
            say(USER_NAMESPACES, Err(why.clone()));
            say(MAPPED_LAYERS, Err("there is no user namespace to map to".to_owned()));
        }
    }
    say(DEVICES, device_control());
    // Last, for it stays.
    let filter = Filter::default_profile(&BTreeSet::new());
    say(SECCOMP, filter.install().map_err(|error| error.to_string()));
    ExitCode::SUCCESS
}

fn user_namespace() -> Result<UserNamespace, String> {
    const LIMIT: &str = "/proc/sys/user/max_user_namespaces";
    match fs::read_to_string(LIMIT) {
        Ok(text) if text.trim() == "0" => return Err(format!("{LIMIT} is 0")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("the kernel is built without them".to_owned());
        }
        // Where it cannot be read, trying tells.
        Ok(_) | Err(_) => {}
    }
    UserNamespace::new(TRIED).map_err(|error| describe(&error))
}

/// Puts a root filesystem together as the shim does, in a mount namespace that ends with this process.
fn mapped_layers(dir: &Path, namespace: &UserNamespace) -> Result<(), String> {
    let say = |error: &dyn std::error::Error| describe(error);
    idmap::view(dir, namespace).map_err(|error| say(&error))?;
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .map_err(|error| say(&error))?;
    let place = tempfile::Builder::new().prefix(".probe-").tempdir_in(dir).map_err(|error| say(&error))?;
    let layer = place.path().join("layer");
    fs::create_dir(&layer).map_err(|error| say(&error))?;
    let mapping = Mapping { ids: TRIED, namespace };
    let rootfs = Rootfs::assemble(place.path(), &[layer], Some(mapping)).map_err(|error| say(&error))?;
    rootfs.check().map_err(|error| say(&error))
}

fn device_control() -> Result<(), String> {
    let layout = Layout::get().map_err(|error| describe(&error))?;
    match layout {
        Layout::V1(_) => match layout.mount_of("devices") {
            Some(_) => Ok(()),
            None => Err("no cgroup hierarchy of this host controls devices".to_owned()),
        },
        Layout::V2 => devices::load(Making::None).map(drop).map_err(|error| describe(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(feature: &'static str, present: bool) -> Finding {
        let detail = if present { String::new() } else { "so it is".to_owned() };
        Finding { feature, present, detail, cost: "it costs" }
    }

    #[test]
    fn ids_are_mapped_only_where_namespaces_and_layers_can_be() {
        let of = |namespaces, layers| {
            can_map_ids(&[
                finding(USER_NAMESPACES, namespaces),
                finding(MAPPED_LAYERS, layers),
                finding(DEVICES, false),
            ])
        };
        assert!(of(true, true));
        assert!(!of(false, true) && !of(true, false) && !of(false, false));
    }

    #[test]
    fn a_program_that_cannot_be_run_finds_nothing() {
        let findings = findings(Path::new("/does/not/exist"), Path::new("/"));
        assert!(findings.len() == FEATURES.len() && findings.iter().all(|finding| !finding.present));
        assert!(!can_map_ids(&findings));
    }
}
