//! `bench start`: from the call that makes a container to the first thing that its program does.
//!
//! The program is a static one that prints the time. Ours goes through the engine's own launch path with its default
//! confinement (`examples/start.rs` of `tapit-container`); the others through their command lines, typed into a shell
//! that notes the time right before. No network but the loopback. Rounds are interleaved.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::bundle;
use super::docker::Docker;
use super::rig::{self, Rig};
use super::table::{self, Row};
use super::{Bench, BenchError};
use crate::command::{self, CommandError, succeed};
use crate::image::{self, Image};

const CLOCK_IMAGE: &str = "localhost/tapit-bench:clock";

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let example = ["build", "--quiet", "--release", "--package", "tapit-container", "--example", "start"];
    command::run("cargo", &example, bench.root)?;
    let rig = Rig::start(bench.root)?;
    let home = Home::make(bench.root)?;
    let docker = Docker::find(&rig)?;
    if let Some(docker) = &docker {
        docker.run(&["load", "--quiet", "--input", &home.archive().display().to_string()])?;
    }
    let mut subjects = home.subjects(bench.root, docker.as_ref())?;
    for _ in 0..bench.rounds {
        for subject in &mut subjects {
            subject.once();
        }
    }
    let rows: Vec<Row> = subjects.iter_mut().map(|subject| std::mem::replace(&mut subject.row, Row::new(""))).collect();
    table::print("start to first instruction of the program", "ms", &rows);
    Ok(())
}

/// Files that the subjects share.
struct Home(TempDir);

impl Home {
    fn make(root: &Path) -> Result<Self, BenchError> {
        let made = |source| BenchError::Image { source };
        let home = tempfile::Builder::new().prefix("tapit-bench-start-").tempdir_in("/tmp").map_err(made)?;
        let program = image::web_program(&root.join("xtask/src/bench/clock.rs"), home.path()).map_err(made)?;
        let home = Self(home);
        for directory in ["layer/bin", "layer/etc", "layer/tmp", "ours", "podman", "podman-run", "state"] {
            std::fs::create_dir_all(home.path(directory)).map_err(made)?;
        }
        std::fs::copy(&program, home.path("layer/bin/clock")).map_err(made)?;
        let layer = image::layer(&program).map_err(made)?;
        let config = json!({"Cmd": ["/bin/web"], "Env": ["PATH=/bin"]});
        image::archive(&home.archive(), &layer, &[Image { name: CLOCK_IMAGE, config }]).map_err(made)?;
        Ok(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn archive(&self) -> PathBuf {
        self.path("clock.tar")
    }

    fn subjects(&self, root: &Path, docker: Option<&Docker>) -> Result<Vec<Subject>, BenchError> {
        let mut subjects = vec![self.ours(root)?];
        for runtime in ["crun", "runc"] {
            for filter in [bundle::Filter::Default, bundle::Filter::None] {
                let bundle = self.path(&format!("{runtime}-{}", filter.name()));
                bundle::write(&bundle, &self.path("layer"), filter)?;
                let line = format!(
                    "{runtime} --root {} run --bundle {} bench-$$-$n",
                    self.path("state").display(),
                    bundle.display()
                );
                subjects.extend(Subject::shell(&format!("{runtime} run, {}", filter.name()), runtime, &line)?);
            }
        }
        let store = format!("--root {} --runroot {}", self.path("podman").display(), self.path("podman-run").display());
        let podman = format!("podman {store} --cgroup-manager cgroupfs --runtime runc");
        let load = format!("{podman} load --quiet --input {}", self.archive().display());
        match succeed(Command::new("bash").args(["-c", &load])) {
            Ok(_) => {
                let line = format!(
                    "{podman} run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 {CLOCK_IMAGE}"
                );
                subjects.extend(Subject::shell("podman run, network none", "podman", &line)?);
            }
            Err(error) => println!("podman is left out: {error}"),
        }
        if let Some(docker) = docker {
            let line = format!("docker --host {} run --rm --network none {CLOCK_IMAGE}", docker.host());
            subjects.extend(Subject::shell("docker run, network none", "docker", &line)?);
        }
        Ok(subjects)
    }

    fn ours(&self, root: &Path) -> Result<Subject, BenchError> {
        let program = rig::release(root);
        let mut example = Command::new(program.with_file_name("examples/start"));
        example.arg(&program).arg(self.path("layer")).arg("/bin/clock").arg(self.path("ours"));
        Subject::new("tapit, default confinement", example)
    }
}

/// A program that makes one container for each line that it is given, and answers with two times.
struct Subject {
    row: Row,
    child: Child,
    ask: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Subject {
    fn new(what: &str, mut command: Command) -> Result<Self, BenchError> {
        let run = |source| CommandError::Run { program: what.to_owned(), source };
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(run)?;
        let missing = || run(std::io::ErrorKind::BrokenPipe.into());
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        Ok(Self { row: Row::new(what), child, ask, answers })
    }

    /// `None` where the program is not installed. The shell sees no second cgroup layout: crun refuses a mixed one.
    fn shell(what: &str, program: &str, line: &str) -> Result<Option<Self>, BenchError> {
        let found = Command::new("which").arg(program).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            println!("{program} is not installed, so its rows are left out");
            return Ok(None);
        }
        let script = format!(
            "umount /sys/fs/cgroup/unified 2>/dev/null; n=0; while read -r _; do n=$((n+1)); \
             t=$EPOCHREALTIME; echo \"${{t/[.,]/}}000 $({line} </dev/null | tail -n 1)\"; done"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", &script]);
        Self::new(what, command).map(Some)
    }

    /// One container more. What cannot be measured is left out, so a row may hold fewer values than rounds.
    fn once(&mut self) {
        let asked = self.ask.as_mut().is_some_and(|ask| writeln!(ask).and_then(|()| ask.flush()).is_ok());
        let answer = if asked { self.answers.next().and_then(Result::ok) } else { None };
        let times = answer.and_then(|line| {
            let (begun, ran) = line.split_once(' ')?;
            Some((begun.parse::<u128>().ok()?, ran.trim().parse::<u128>().ok()?))
        });
        if let Some((begun, ran)) = times {
            self.row.values.push(ran.saturating_sub(begun) as f64 / 1e6);
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The end of its input ends it, after it has cleaned up.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}
