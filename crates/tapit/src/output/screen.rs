//! The terminal, or what stands in for it.

use std::io::{BufRead, Read, Result, Write};

use super::format::clean;
use crate::surroundings::Surroundings;

/// Which of the three streams is a terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminals {
    pub input: bool,
    pub output: bool,
    pub talk: bool,
}

/// An answer to a question is short; a longer one is not a yes.
const MAX_ANSWER: u64 = 1024;

pub struct Screen<'a> {
    output: &'a mut dyn Write,
    talk: &'a mut dyn Write,
    input: &'a mut dyn BufRead,
    terminals: Terminals,
    colour: bool,
    /// The progress line that stands on the terminal, if any.
    progress: String,
    /// So many lines of a picture stand above the cursor.
    bars: usize,
}

impl<'a> Screen<'a> {
    pub fn new(
        output: &'a mut dyn Write,
        talk: &'a mut dyn Write,
        input: &'a mut dyn BufRead,
        terminals: Terminals,
        surroundings: &Surroundings,
    ) -> Self {
        let plain = surroundings.variable("NO_COLOR").is_some() || surroundings.variable("TERM") == Some("dumb");
        Self { output, talk, input, terminals, colour: terminals.output && !plain, progress: String::new(), bars: 0 }
    }

    pub fn terminals(&self) -> Terminals {
        self.terminals
    }

    /// Whether data may be coloured.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Prints data; the text ends in its own newline.
    pub fn print(&mut self, text: &str) -> Result<()> {
        self.end_progress();
        self.output.write_all(text.as_bytes())
    }

    pub fn flush(&mut self) -> Result<()> {
        self.end_progress();
        self.output.flush()
    }

    /// Hands on data that somebody else has made, as it is and at once.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes)?;
        self.output.flush()
    }

    /// The same on the standard error. Nobody can be told when that fails.
    pub fn pass_talk(&mut self, bytes: &[u8]) {
        let _ = self.talk.write_all(bytes).and_then(|()| self.talk.flush());
    }

    /// Says something on the standard error. Nobody can be told when that fails.
    pub fn say(&mut self, text: &str) {
        self.end_progress();
        for line in text.lines() {
            let _ = writeln!(self.talk, "{}", clean(line));
        }
    }

    /// Shows how far something has come: one line that is rewritten in place, or a line for every change.
    pub fn progress(&mut self, text: &str) {
        let line = clean(text);
        if line == self.progress {
            return;
        }
        if self.terminals.talk {
            let _ = write!(self.talk, "\r\x1b[K{line}");
            let _ = self.talk.flush();
        } else {
            let _ = writeln!(self.talk, "{line}");
        }
        self.progress = line;
    }

    /// Shows a picture of some lines that is replaced by the next one; the last one is empty, or stays where it is. Only
    /// for a terminal.
    pub fn bars(&mut self, lines: &[String]) {
        if !self.terminals.talk {
            return;
        }
        let mut text = String::new();
        if self.bars > 0 {
            text += &format!("\x1b[{}A\r\x1b[J", self.bars);
        }
        for line in lines {
            text += &clean(line);
            text.push('\n');
        }
        self.bars = lines.len();
        let _ = self.talk.write_all(text.as_bytes()).and_then(|()| self.talk.flush());
    }

    fn end_progress(&mut self) {
        self.bars = 0;
        if !self.progress.is_empty() && self.terminals.talk {
            let _ = writeln!(self.talk);
        }
        self.progress.clear();
    }

    /// Asks a question; only `y` and `yes` are a yes, and an answer that cannot be read is none.
    pub fn ask(&mut self, question: &str) -> bool {
        let _ = write!(self.talk, "{} [y/N] ", clean(question));
        let _ = self.talk.flush();
        let mut answer = String::new();
        let read = (&mut self.input as &mut dyn BufRead).take(MAX_ANSWER).read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Reads one line of the input, of at most so many bytes.
    pub fn line(&mut self, max: u64) -> Result<String> {
        let mut line = String::new();
        (&mut self.input as &mut dyn BufRead).take(max).read_line(&mut line)?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}
