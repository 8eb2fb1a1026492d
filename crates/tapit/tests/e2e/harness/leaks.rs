//! What a server has left on the host: looked for under its data directory's path and its tag, so that other servers and
//! whatever else runs here do not matter.

use std::fs;
use std::path::Path;

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
    found.extend(cgroups(Path::new("/sys/fs/cgroup"), tag, 4));
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
    let own = std::process::id().to_string();
    let numbered = |name: &str| name.bytes().all(|b| b.is_ascii_digit()) && name != own;
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| numbered(name));
    pids.filter_map(|pid| {
        // A process that ends meanwhile is none.
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let mounts = read("mountinfo");
        let mounted = mounts.windows(data.len()).any(|window| window == data.as_bytes());
        let what = if mounted { "mounts" } else { "names" };
        (mounted || command.contains(&data)).then(|| format!("process {pid} {what} the data directory: {command}"))
    })
    .collect()
}

fn cgroups(directory: &Path, tag: &str, depth: usize) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let look = |entry: fs::DirEntry| {
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(tag) {
            return vec![format!("cgroup {}", path.display())];
        }
        if depth == 0 { Vec::new() } else { cgroups(&path, tag, depth - 1) }
    };
    directories.flat_map(look).collect()
}

fn links(tag: &str) -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(tag)).map(|name| format!("interface {name}")).collect()
}
