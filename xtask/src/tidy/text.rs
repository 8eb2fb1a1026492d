//! Rust source with everything blanked out that is not code, so that rules about code do not trip over prose.
//!
//! Knows comments, strings, raw strings and characters; knows nothing else of the language. Lines stay where they are.

/// The code of a file: comments and the insides of strings are spaces, line breaks are kept.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped_to(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The code without what is compiled for tests only: from the first test module to the end, where ours all stand.
pub fn code_without_tests(text: &str) -> String {
    let code = code(text);
    let lines: Vec<&str> = code.lines().collect();
    let test = |at: usize| {
        let next = lines.get(at + 1).map(|line| line.trim_start()).unwrap_or_default();
        lines[at].trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.trim_end().ends_with('{')
    };
    let end = (0..lines.len()).find(|at| test(*at)).unwrap_or(lines.len());
    lines[..end].join("\n")
}

/// Where the comment, string or character that begins at `at` ends; `at` itself when none begins there.
fn skipped_to(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1);
    match chars[at] {
        '/' if next == Some(&'/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some(&'*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !preceded_by_word(chars, at) => raw_string_end(chars, at + 1).unwrap_or(at),
        'b' if !preceded_by_word(chars, at) && next == Some(&'r') => raw_string_end(chars, at + 2).unwrap_or(at),
        '\'' => character_end(chars, at).unwrap_or(at),
        _ => at,
    }
}

fn preceded_by_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b'
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| wanted(chars[*at])).unwrap_or(chars.len())
}

/// Block comments nest.
fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0usize);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => {
                depth += 1;
                at += 2;
            }
            ('*', '/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// `from` is behind the opening quote.
fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `from` is behind the `r`; `None` when no raw string begins there.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let quote = find(chars, from, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - from;
    let closes = |at: &usize| chars[*at] == '"' && (1..=hashes).all(|n| chars.get(at + n) == Some(&'#'));
    Some((quote + 1..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes))
}

/// A character literal; a lifetime is none.
fn character_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        return Some(find(chars, at + 3, |c| c == '\'') + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

/// The lines, from 1, on which a word stands. Where it begins or ends with a letter, digit or underscore, no other one of
/// those may come next to it: `HashMap` is not in `MyHashMaps`.
pub fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let open = word.starts_with(is_word);
    let close = word.ends_with(is_word);
    let stands = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back().filter(|_| open);
            let after = line[at + word.len()..].chars().next().filter(|_| close);
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    };
    text.lines().enumerate().filter(|(_, line)| stands(line)).map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "let a = \"tokio \\\" x\"; // tokio\n/* tokio /* tokio */ tokio */ b\nlet c = r#\"tokio \"x\"#; d";
        let seen = code(text);
        assert!(!seen.contains("tokio") && !seen.contains('x'), "{seen}");
        assert_eq!(seen.lines().count(), 3);
        assert!(seen.contains("let a =") && seen.contains(" b\n") && seen.ends_with("; d"), "{seen}");
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        let seen = code("fn f<'a>(x: &'a str) { let q = '\"'; let e = '\\''; let u = '\\u{1F}'; tokio }");
        assert!(seen.contains("<'a>(x: &'a str)") && seen.contains("tokio }") && !seen.contains('"'), "{seen}");
        assert!(code("let b = b\"tokio\"; let r = br\"tokio\"; let number = 1;").matches("tokio").next().is_none());
    }

    #[test]
    fn a_test_module_ends_what_is_looked_at() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use tokio;\n}\n";
        assert_eq!(code_without_tests(text), "fn a() {}");
        let text = "#[cfg(test)]\nmod tests;\nuse tokio;\n";
        assert!(code_without_tests(text).contains("tokio"));
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(lines_with("HashMap\nMyHashMap\nHashMaps\nx::HashMap<", "HashMap"), [1, 4]);
        assert_eq!(lines_with("std::fs::read\nmy_std::fs\nstd::fsx", "std::fs"), [1]);
        assert_eq!(lines_with("a.now()\nbnow()", "now()"), [1]);
    }
}
