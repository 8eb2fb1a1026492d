//! What a server has left on the host: looked for under its data directory's path and its tag, so that other servers and
//! whatever else runs here do not matter.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nft;

/// The six digits after which the server names its kernel objects, from what it remembers of its network.
pub fn tag(data: &Path) -> String {
    let text = fs::read_to_string(data.join("network.json")).expect("the server remembers its network");
    let network: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    network["tag"].as_str().expect("a tag").to_owned()
}

/// Everything of a server that is there, one line each.
pub fn found(tag: &str, data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(data.exists().then(|| format!("files: {}", data.display())));
    found.extend(processes(data));
    let groups = groups(Path::new("/sys/fs/cgroup"), tag, 4);
    found.extend(groups.iter().map(|path| format!("cgroup {}", path.display())));
    found.extend(links(tag));
    found.extend(nft::has_table_with(&format!("tapit-{tag}")).then(|| format!("an nftables table tapit-{tag}")));
    found
}

#[track_caller]
pub fn assert_none(tag: &str, data: &Path) {
    let found = found(tag, data);
    assert!(found.is_empty(), "left behind:\n{}", found.join("\n"));
}

/// Processes that name the data directory, or that see a mount of it: containers have their own mount namespace, whose
/// root lies there.
fn processes(data: &Path) -> Vec<String> {
    let data = data.display().to_string();
    let pids = pids().into_iter();
    pids.filter_map(|pid| {
        // A process that ends meanwhile is none.
        let mounts = fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let mounted = mounts.windows(data.len()).any(|window| window == data.as_bytes());
        let (what, command) = (if mounted { "mounts" } else { "names" }, command(pid));
        (mounted || command.contains(&data)).then(|| format!("process {pid} {what} the data directory: {command}"))
    })
    .collect()
}

/// Every process but this one.
fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| u32::try_from(*pid) != Ok(std::process::id())).collect()
}

/// The words of a process, separated by spaces.
fn command(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The processes that have a directory among their words.
pub fn naming(directory: &Path) -> Vec<i32> {
    let word = directory.display().to_string();
    pids().into_iter().filter(|pid| command(*pid).split(' ').any(|one| one == word)).collect()
}

/// The processes that watch the containers of a server.
pub fn monitors(data: &Path) -> Vec<i32> {
    let begins = format!("tapit-monitor {}", data.display());
    pids().into_iter().filter(|pid| command(*pid).starts_with(&begins)).collect()
}

pub fn kill_monitors(data: &Path) {
    for pid in monitors(data) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a monitor can be killed");
    }
}

/// Kills the watchers and everything inside of the containers.
pub fn kill_all(tag: &str, data: &Path) {
    kill_monitors(data);
    let groups = groups(Path::new("/sys/fs/cgroup"), tag, 4);
    let leaves = groups.iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
    let procs = leaves.filter_map(|leaf| fs::read_to_string(leaf.path().join("cgroup.procs")).ok());
    for pid in procs.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>()) {
        // One that was killed by its parent's end is gone already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// What the kernel holds of a server: interfaces, and cgroups with those of its containers.
pub fn kernel_objects(tag: &str) -> (usize, usize) {
    (links(tag).len(), containers(tag))
}

/// The server's own group in each hierarchy.
fn groups(directory: &Path, tag: &str, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let look = |entry: fs::DirEntry| {
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(tag) {
            return vec![path];
        }
        if depth == 0 { Vec::new() } else { groups(&path, tag, depth - 1) }
    };
    directories.flat_map(look).collect()
}

fn links(tag: &str) -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(tag)).map(|name| format!("interface {name}")).collect()
}

/// How many containers there are by the count of their cgroups.
pub fn containers(tag: &str) -> usize {
    let children = |directory: &PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    groups(Path::new("/sys/fs/cgroup"), tag, 4).iter().map(children).max().unwrap_or(0)
}

/// The processes of a container.
#[track_caller]
fn members(tag: &str, container: &str) -> Vec<i32> {
    let groups = groups(Path::new("/sys/fs/cgroup"), tag, 4).into_iter();
    let group = groups.map(|group| group.join(container)).find(|group| group.is_dir());
    let group = group.unwrap_or_else(|| panic!("{container} has no cgroup"));
    let pids = fs::read_to_string(group.join("cgroup.procs")).expect("cgroup.procs");
    pids.lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// What runs in a container, each with its words.
#[track_caller]
pub fn commands(tag: &str, container: &str) -> Vec<String> {
    members(tag, container).into_iter().map(|pid| command(pid).trim_end().to_owned()).collect()
}

/// A file of `/proc` of each process of a container.
#[track_caller]
pub fn proc_files(tag: &str, container: &str, name: &str) -> Vec<String> {
    let files = members(tag, container).into_iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/{name}")));
    // A process that ends meanwhile has none.
    files.filter_map(Result::ok).collect()
}

/// Kills process 1 of a container from outside.
#[track_caller]
pub fn kill_init(tag: &str, container: &str) {
    // A process tells its number in each namespace, the innermost last.
    let is_init = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_whitespace().count() > 1 && numbers.split_whitespace().next_back() == Some("1")
    };
    let pid = members(tag, container).into_iter().find(is_init);
    let pid = pid.unwrap_or_else(|| panic!("{container} has no process 1"));
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it can be killed");
}
