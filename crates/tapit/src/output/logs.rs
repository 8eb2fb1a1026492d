//! Log lines for people: a mark for the stream, a colour for the instance, and nothing that drives the terminal.

use std::fmt::Write;

use tapit_model::LogLineView;

use super::format::clean;

/// None of them looks like a warning.
const COLOURS: [&str; 6] = ["36", "32", "35", "34", "96", "95"];
const RED: &str = "31";

/// Prints lines as they come: the column of names grows with the longest one seen so far.
#[derive(Debug, Default)]
pub struct LogLines {
    width: usize,
}

impl LogLines {
    /// `2026-01-31T12:00:00.123Z web.3 | text`.
    pub fn render(&mut self, line: &LogLineView, colour: bool) -> String {
        let instance = clean(&line.instance);
        self.width = self.width.max(instance.chars().count());
        let mark = match line.stream.as_str() {
            "stdout" => "|",
            "stderr" => "!",
            _ => "*",
        };
        let width = self.width;
        let head = format!("{} {instance:width$} ", clean(&line.at));
        let mut text = String::new();
        let written = if colour {
            let mark_colour = if mark == "|" { tint(&instance) } else { RED };
            write!(text, "\x1b[{}m{head}\x1b[{mark_colour}m{mark}\x1b[0m {}", tint(&instance), harmless(&line.text))
        } else {
            write!(text, "{head}{mark} {}", harmless(&line.text))
        };
        // Writing into a string cannot fail.
        debug_assert!(written.is_ok());
        let mut text = text.trim_end().to_owned();
        text.push('\n');
        text
    }
}

/// The same for an instance wherever it is shown.
fn tint(instance: &str) -> &'static str {
    let sum = instance.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS[sum % COLOURS.len()]
}

/// Without escape sequences, which programs use for colours; any other control character is shown as a replacement, and
/// so are those that turn the direction of writing, with which a line can look like another one.
fn harmless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\u{9b}' => skip_until(&mut chars, is_final),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => plain.push('\u{fffd}'),
            c => plain.push(c),
        }
    }
    clean(plain.trim_end_matches('\r'))
}

/// The bytes of a CSI sequence end with one of these.
fn is_final(c: char) -> bool {
    ('\u{40}'..='\u{7e}').contains(&c)
}

fn skip_escape(chars: &mut std::str::Chars) {
    match chars.next() {
        Some('[') => skip_until(chars, is_final),
        // Strings for the terminal (titles, links, device control) end with BEL or ST. One that does not end is no reason
        // to hide the rest of the line.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut ahead = chars.clone();
            while let Some(c) = ahead.next() {
                if c == '\u{7}' || c == '\u{9c}' || (c == '\x1b' && ahead.next() == Some('\\')) {
                    *chars = ahead;
                    return;
                }
            }
        }
        // A character set is named by one more character.
        Some('(' | ')' | '*' | '+') => {
            chars.next();
        }
        Some(_) | None => {}
    }
}

/// Only the parameters of a sequence may stand before its end.
fn skip_until(chars: &mut std::str::Chars, end: impl Fn(char) -> bool) {
    let mut ahead = chars.clone();
    while let Some(c) = ahead.next() {
        if end(c) {
            *chars = ahead;
            return;
        }
        if !('\u{20}'..='\u{3f}').contains(&c) {
            return;
        }
        *chars = ahead.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(instance: &str, stream: &str, text: &str) -> LogLineView {
        LogLineView {
            at: "2026-01-31T12:00:00.123Z".to_owned(),
            process: "web".to_owned(),
            instance: instance.to_owned(),
            stream: stream.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_line_shows_time_instance_stream_and_text() {
        let mut lines = LogLines::default();
        let mut shown = |instance, stream, text| lines.render(&line(instance, stream, text), false);
        assert_eq!(shown("web.3", "stdout", "hello"), "2026-01-31T12:00:00.123Z web.3 | hello\n");
        assert_eq!(shown("api.10", "stderr", "oh"), "2026-01-31T12:00:00.123Z api.10 ! oh\n");
        assert_eq!(shown("web.3", "tapit", "lost"), "2026-01-31T12:00:00.123Z web.3  * lost\n");
        assert_eq!(shown("web.3", "stdout", ""), "2026-01-31T12:00:00.123Z web.3  |\n");
    }

    #[test]
    fn colours_are_of_the_instance_and_standard_error_is_red() {
        let shown = |stream| LogLines::default().render(&line("web.3", stream, "x"), true);
        assert!(shown("stdout").starts_with(&format!("\x1b[{}m2026", tint("web.3"))), "{:?}", shown("stdout"));
        assert!(!shown("stdout").contains("\x1b[31m") && shown("stderr").contains("\x1b[31m!\x1b[0m x"));
    }

    #[test]
    fn nothing_of_a_log_drives_the_terminal() {
        for (text, expected) in [
            ("plain\ttext", "plain\ttext"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[1;1Hgone", "gone"),
            ("\x1b]0;title\u{7}x", "x"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bP+q\x1b\\x", "x"),
            ("\x1b]never ends", "never ends"),
            ("\x1b(Bx", "x"),
            ("\x1bcreset", "reset"),
            ("\u{9b}31mred", "red"),
            ("\x1b[31\x1b[0mx", "x"),
            ("\x1b", ""),
            ("\x1b[", ""),
            ("progress\r", "progress"),
            ("a\rb", "a\u{fffd}b"),
            ("bell\u{7}", "bell\u{fffd}"),
            ("\u{202e}txt.exe", "\u{fffd}txt.exe"),
        ] {
            let shown = harmless(text);
            assert_eq!(shown, expected, "{text:?}");
            assert!(!shown.chars().any(|c| c.is_control() && c != '\t'), "{shown:?}");
        }
    }
}
