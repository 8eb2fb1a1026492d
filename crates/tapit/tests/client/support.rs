//! Runs command lines in made-up surroundings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tapit_cli::Ending;
use tapit_cli::output::{Screen, Terminals};
use tapit_cli::surroundings::Surroundings;

/// What came of a command line.
#[derive(Debug)]
pub struct Run {
    pub ending: Ending,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn status(&self) -> u8 {
        match &self.ending {
            Ending::Exit(status) => *status,
            other @ (Ending::Serve(..) | Ending::Doctor(..) | Ending::Teardown(_)) => {
                panic!("no exit status: {other:?}\n{}", self.err)
            }
        }
    }
}

/// A user at a prompt, or a script.
#[derive(Debug, Clone)]
pub struct User {
    pub surroundings: Surroundings,
    pub terminals: Terminals,
    pub answer: &'static str,
}

pub const TERMINAL: Terminals = Terminals { input: true, output: true, talk: true };

impl User {
    /// A script without a terminal, an environment or a server.
    pub fn script() -> Self {
        let surroundings =
            Surroundings { environment: BTreeMap::new(), directory: PathBuf::from("/nonexistent/here"), root: false };
        let user = Self { surroundings, terminals: Terminals::default(), answer: "" };
        user.with("TAPIT_BASEURL", "unix:///nonexistent/tapit.sock")
    }

    pub fn at_terminal(mut self) -> Self {
        self.terminals = TERMINAL;
        self.with("NO_COLOR", "1")
    }

    pub fn answering(mut self, answer: &'static str) -> Self {
        self.answer = answer;
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.surroundings.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs a line that is split as a shell splits it; it starts with `tapit`.
    pub fn run(&self, line: &str) -> Run {
        let argv = argv(line);
        let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), self.answer.as_bytes());
        let mut screen = Screen::new(&mut out, &mut err, &mut input, self.terminals, &self.surroundings);
        let ending = tapit_cli::run(&argv, &self.surroundings, &mut screen);
        drop(screen);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Run { ending, out: text(out), err: text(err) }
    }
}

/// The arguments of a line, without the leading `tapit`.
pub fn argv(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    assert_eq!(words.first().map(String::as_str), Some("tapit"), "{line}");
    words.remove(0);
    words
}
