//! The command of a process: what was typed, and the argument vector that it means.

use serde::{Deserialize, Serialize};

/// A command override. It replaces the image's CMD; the ENTRYPOINT stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandLine {
    typed: String,
    argv: Vec<String>,
}

impl CommandLine {
    const MAX: usize = 32 * 1024;

    /// Splits words as a shell does. With shell operators outside quotes, the whole text runs as `/bin/sh -c` in the
    /// container; it never meets a shell on the host.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > Self::MAX {
            return Err(format!("the command has {} bytes; at most {} are allowed", text.len(), Self::MAX));
        }
        if text.contains('\0') {
            return Err("the command holds a NUL byte, which no program can be given".to_owned());
        }
        let (words, shell) = split(text)?;
        let argv = if shell { vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()] } else { words };
        if argv.is_empty() {
            return Err("the command is empty; leave it out to use the image's own".to_owned());
        }
        Ok(Self { typed: text.to_owned(), argv })
    }

    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    pub fn typed(&self) -> &str {
        &self.typed
    }
}

impl TryFrom<String> for CommandLine {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<CommandLine> for String {
    fn from(command: CommandLine) -> String {
        command.typed
    }
}

/// Words, and whether a shell operator stands outside of single quotes (for `$` and backquote also inside double ones).
fn split(text: &str) -> Result<(Vec<String>, bool), String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut shell = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\n' | ';' | '|' | '<' | '>' | '$' | '`' => shell = true,
            '&' if chars.peek() == Some(&'&') => shell = true,
            '\\' => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(format!("the command {text:?} ends in a backslash")),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(format!("the command {text:?} has an unclosed single quote")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(format!("the command {text:?} has an unclosed double quote")),
                        },
                        Some(c) => {
                            shell |= matches!(c, '$' | '`');
                            word.push(c);
                        }
                        None => return Err(format!("the command {text:?} has an unclosed double quote")),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok((words, shell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<String> {
        CommandLine::parse(text).expect(text).argv().to_vec()
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        assert_eq!(argv("python manage.py run_scheduler"), ["python", "manage.py", "run_scheduler"]);
        assert_eq!(argv(r#"a 'b c' "d \"e" f\ g ''"#), ["a", "b c", "d \"e", "f g", ""]);
        assert_eq!(argv("python -m celery worker -A app"), ["python", "-m", "celery", "worker", "-A", "app"]);
        assert_eq!(argv("echo 'a && b' x=1&y"), ["echo", "a && b", "x=1&y"]);
    }

    #[test]
    fn shell_operators_run_in_the_containers_shell() {
        for text in ["a && b", "a | b", "a; b", "echo $PORT", "echo \"$PORT\"", "a > b", "a || b", "echo `x`"] {
            assert_eq!(argv(text), ["/bin/sh", "-c", text]);
        }
    }

    #[test]
    fn unclosed_quotes_are_refused() {
        for text in ["'a", "\"a", "a\\", "", "   "] {
            assert!(CommandLine::parse(text).is_err(), "{text:?}");
        }
    }
}
