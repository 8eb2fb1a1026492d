//! Commands in instances are confined as their programs are.

use tapit_engine::{Engine, ExecOutput, ExecRequest};
use tapit_model::{Confinement, Formation, ImageRef};

use crate::image;
use crate::own::{healthy, instance_key, log, start, until_logged};
use crate::subject::{Bed, run_own};

/// All that the kernel tells of a process's user and privileges.
const FIELDS: [&str; 11] =
    ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "SigIgn"];
const LOOK: [&str; 3] = [
    "sh",
    "-c",
    "cat /proc/self/status /proc/self/cgroup /proc/self/limits; for space in /proc/self/ns/*; do readlink $space; done; pwd",
];
/// What the program says when it has looked.
const LOOKED: &str = "looked";

async fn formation(bed: &Bed, user: &str, userns: bool) -> Formation {
    let archive = tempfile::NamedTempFile::new().expect("a file");
    image::write_archive_for(archive.path(), "busybox:user", user);
    bed.embedded().images().import(archive.path(), None).await.expect("imports");
    let name = ImageRef::parse("busybox:user").expect("a legal name");
    let image = bed.embedded().prepare(&name).await.expect("is held").image;
    let confinement = Confinement { userns, ..Confinement::default() };
    Formation { image, confinement, ..bed.shell(&format!("{}; echo {LOOKED}; exec sleep 1000", LOOK[2])) }
}

async fn output(bed: &Bed, instance: &tapit_model::InstanceKey, argv: &[&str]) -> (String, Option<u8>) {
    let request = ExecRequest { argv: argv.iter().map(|word| (*word).to_owned()).collect(), terminal: None };
    let mut session = bed.embedded().exec(instance, request).await.expect("the command is started");
    let (mut text, mut status) = (Vec::new(), None);
    while let Some(output) = session.output.recv().await {
        match output {
            ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes) => text.extend(bytes),
            ExecOutput::Taken(_) => {}
            ExecOutput::Exited(code) => status = Some(code),
            ExecOutput::Lost(text) => panic!("the command was lost: {text}"),
        }
    }
    (String::from_utf8(text).expect("is text"), status)
}

/// What must be the same of two processes: not their numbers and counters.
fn kept(lines: impl Iterator<Item = String>) -> Vec<String> {
    let is_kept = |line: &String| match line.split_once(":\t") {
        Some((name, _)) => FIELDS.contains(&name),
        None => !line.starts_with("Vm"),
    };
    lines.filter(is_kept).collect()
}

fn check(user: &'static str, uid: &'static str, userns: bool) {
    run_own(|bed| {
        Box::pin(async move {
            start(bed, formation(bed, user, userns).await).await;
            let instance = instance_key(&healthy(bed, 1).await[0].id);
            // Healthy is one that has run for a second, which need not be enough for that.
            until_logged(bed, &instance.id, LOOKED).await;
            let program = kept(log(bed, &instance.id).await.into_iter().filter(|line| line != LOOKED));
            let (text, status) = output(bed, &instance, &LOOK).await;
            let command = kept(text.lines().map(str::to_owned));
            assert_eq!(status, Some(0), "{text}");
            assert!(program.iter().any(|line| line.starts_with("Uid:") && line.contains(uid)), "{program:#?}");
            assert_eq!(command, program);
            // What it has as its streams can be opened by name, also by a user who is not root.
            let (text, status) = output(bed, &instance, &["sh", "-c", "echo said > /dev/stdout"]).await;
            assert_eq!((text.as_str(), status), ("said\n", Some(0)));
        })
    });
}

#[test]
fn a_command_is_confined_as_a_program_of_root_in_a_user_namespace() {
    check("", "\t0\t0\t0\t0", true);
}

#[test]
fn a_command_is_confined_as_a_program_of_another_user_in_a_user_namespace() {
    check("1000:50", "\t1000\t1000\t1000\t1000", true);
}

#[test]
fn a_command_is_confined_as_a_program_without_a_user_namespace() {
    check("", "\t0\t0\t0\t0", false);
}

#[test]
fn a_command_is_confined_as_a_program_of_another_user_without_a_user_namespace() {
    check("1000:50", "\t1000\t1000\t1000\t1000", false);
}
