//! `cargo xtask vm [SCENE...]`: a machine with cgroup v2, emulated, and what has to hold on it.
//!
//! Most developers' machines have one cgroup layout; this suite runs the engine on the other one: Debian's kernel in
//! `qemu-system-x86_64` without any help of the processor, so it works wherever qemu does and is slow. Nothing of it
//! touches the machine that it runs on but `target/vm`. Needs root to unpack Debian, and apt for what is missing.

mod disks;
mod machine;

use std::path::{Path, PathBuf};

use machine::Outcome;

use crate::command::{self, CommandError};

#[derive(Debug, thiserror::Error)]
pub enum VmError {
    #[error("there is no scene {0:?}; there are {known}", known = SCENES.map(|scene| scene.name).join(", "))]
    Scene(String),
    #[error(transparent)]
    Program(#[from] CommandError),
    #[error("writing {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("making the image")]
    Image { source: std::io::Error },
    #[error("cargo built no {0}")]
    NotBuilt(&'static str),
    #[error("no kernel of Debian's linux-image-amd64 is in /boot")]
    Kernel,
    #[error("running qemu-system-x86_64")]
    Qemu { source: std::io::Error },
}

/// One boot.
pub struct Scene {
    pub name: &'static str,
    /// The first program after the disks are mounted.
    pub init: &'static str,
    pub seconds: u64,
}

const SCENES: [Scene; 4] = [
    Scene { name: "tests", init: "/vm/init.sh", seconds: 1500 },
    Scene { name: "plain", init: "/vm/init.sh", seconds: 300 },
    Scene { name: "delegated", init: "/vm/init.sh", seconds: 300 },
    Scene { name: "systemd", init: "/lib/systemd/systemd", seconds: 480 },
];

/// What is needed beside the compiler. `need_packages` installs what is missing.
const PACKAGES: &str = "qemu-system-x86 linux-image-amd64 mmdebstrap e2fsprogs kmod cpio busybox-static";

/// Boots one machine per scene, one after the other; answers whether everything held.
pub fn run(root: &Path, words: &[&str]) -> Result<bool, VmError> {
    let scenes = chosen(words)?;
    let install = format!("set -euo pipefail; . scripts/setup.sh; need_packages {PACKAGES}");
    command::run("bash", &["-c", &install], root)?;
    let disks = disks::make(root)?;
    let mut all = Outcome::default();
    for scene in scenes {
        println!("==> {}", scene.name);
        let outcome = machine::boot(&disks, scene)?;
        println!("{}: {outcome}", scene.name);
        all.add(&outcome);
    }
    println!("vm: {all}");
    Ok(all.is_good())
}

fn chosen(words: &[&str]) -> Result<Vec<&'static Scene>, VmError> {
    if words.is_empty() {
        return Ok(SCENES.iter().collect());
    }
    let find = |word: &&str| SCENES.iter().find(|scene| scene.name == *word);
    words.iter().map(|word| find(word).ok_or_else(|| VmError::Scene((*word).to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_chosen_by_name_and_all_of_them_by_none() {
        let names = |words: &[&str]| chosen(words).map(|scenes| scenes.iter().map(|s| s.name).collect::<Vec<_>>());
        assert_eq!(names(&[]).map(|all| all.len()).ok(), Some(SCENES.len()));
        assert_eq!(names(&["systemd", "plain"]).ok(), Some(vec!["systemd", "plain"]));
        assert!(names(&["nowhere"]).is_err_and(|error| error.to_string().contains("delegated")));
    }
}
