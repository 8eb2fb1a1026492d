//! The command line as somebody types it: through a shell, with a time limit.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// No command of the tests takes longer, waiting included.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(5);

/// How a command ended.
#[derive(Debug)]
pub struct Answer {
    pub line: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// The same answer, which must be a success.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// The same answer, which must have this exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(self.code == code, "`{}` should exit with {code}\n{self}", self.line);
        self
    }

    /// The same answer, which must hold this text on either stream.
    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(
            self.stderr.contains(part) || self.stdout.contains(part),
            "`{}` should say {part:?}\n{self}",
            self.line
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("`{}` prints no JSON: {error}\n{self}", self.line))
    }

    /// The command that it says undoes it.
    #[track_caller]
    pub fn inverse(&self) -> String {
        let line = self.stderr.lines().find_map(|line| line.strip_prefix("undo: "));
        line.unwrap_or_else(|| panic!("`{}` names no inverse\n{self}", self.line)).to_owned()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Answer { line, code, stdout, stderr } = self;
        write!(f, "$ {line}\n-- exit {code}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// Where and as what commands are typed.
pub struct Shell<'a> {
    pub directory: &'a Path,
    pub data: &'a Path,
    /// Further variables.
    pub environment: &'a [(&'a str, &'a str)],
}

impl Shell<'_> {
    /// Types one line, in which `tapit` is the program under test.
    #[track_caller]
    pub fn type_line(&self, line: &str) -> Answer {
        let program = Path::new(env!("CARGO_BIN_EXE_tapit"));
        let beside = program.parent().unwrap_or(program);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(line).current_dir(self.directory).env_clear();
        shell.env("PATH", format!("{}:{path}", beside.display())).env("HOME", self.directory).env("NO_COLOR", "1");
        shell.env("TAPIT_DATA_DIR", self.data).envs(self.environment.iter().copied());
        let mut child =
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("/bin/sh");
        let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
        let status = wait(&mut child, PATIENCE);
        if status.is_none() {
            // What the shell started ends with its pipes; the test has failed already.
            let _ = child.kill();
            let _ = child.wait();
        }
        let text = |reader: std::thread::JoinHandle<String>| reader.join().unwrap_or_default();
        let code = status.and_then(|status| status.code()).unwrap_or(-1);
        assert!(status.is_some(), "`{line}` did not end within {PATIENCE:?}");
        Answer { line: line.to_owned(), code, stdout: text(stdout), stderr: text(stderr) }
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A stream that breaks off ends the text; what was read up to there is what there is to see.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The exit status, or `None` when the time is up.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}
