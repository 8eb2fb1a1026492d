//! The shape of functions: how long they are, how much they are given.

use super::files::SourceFile;
use super::{Finding, Weight, text};

/// A function that is longer does more than one thing.
const LINES: usize = 70;
/// Besides `self`. Who needs more has found a struct.
const PARAMETERS: usize = 4;
/// No signature is longer, in lines.
const SIGNATURE: usize = 40;

pub fn findings(file: &SourceFile) -> Vec<Finding> {
    if !file.is_source() {
        return Vec::new();
    }
    let code = text::code_without_tests(&file.text);
    let lines: Vec<&str> = code.lines().collect();
    let begins = (0..lines.len()).filter(|at| is_function(lines[*at]));
    begins.flat_map(|at| judge(&lines[at..]).into_iter().map(move |fault| fault.at(file, at + 1))).collect()
}

struct Fault {
    rule: &'static str,
    advice: String,
}

impl Fault {
    fn at(self, file: &SourceFile, line: usize) -> Finding {
        Finding { weight: Weight::Hint, path: file.path.clone(), line, rule: self.rule, advice: self.advice }
    }
}

/// What is to be said of the function that begins at the first line.
fn judge(lines: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(length) = length(lines).filter(|length| *length > LINES) {
        let advice = format!("{length} lines; up to {LINES} are wanted: name a part of it and move that out");
        faults.push(Fault { rule: "function-length", advice });
    }
    let parameters = parameters(lines);
    if parameters.len() > PARAMETERS {
        let advice = format!(
            "{} parameters; up to {PARAMETERS} are wanted: put those that go together in a struct",
            parameters.len()
        );
        faults.push(Fault { rule: "parameters", advice });
    }
    let yes_or_no = |parameter: &String| parameter.split_once(':').is_some_and(|(_, kind)| kind.trim() == "bool");
    if let Some(parameter) = parameters.iter().find(|parameter| yes_or_no(parameter)) {
        let advice = format!("{parameter}: a bare true says nothing at the call; take an enum with two names");
        faults.push(Fault { rule: "bool-parameter", advice });
    }
    faults
}

/// Whether a line of code begins a function.
fn is_function(line: &str) -> bool {
    let before = |word: &&str| word.starts_with("pub") || ["const", "async", "unsafe", "extern"].contains(word);
    line.split_whitespace().find(|word| !before(word)) == Some("fn")
}

/// From its first line to the brace that closes it; `None` for a declaration without a body.
fn length(lines: &[&str]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                ';' if depth == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

/// The parameters but `self`, each as `name: Type`.
fn parameters(lines: &[&str]) -> Vec<String> {
    let head = lines[..lines.len().min(SIGNATURE)].join(" ");
    let mut parameters = vec![String::new()];
    // Of angle brackets before the list, and of brackets of every kind within it.
    let (mut generics, mut depth, mut last) = (0usize, 0usize, ' ');
    for c in head.chars() {
        match c {
            '<' if depth == 0 => generics += 1,
            '>' if depth == 0 && last != '-' => generics = generics.saturating_sub(1),
            '(' if depth == 0 && generics == 0 => depth = 1,
            _ if depth == 0 => {}
            ',' if depth == 1 => parameters.push(String::new()),
            ')' if depth == 1 => break,
            c => {
                match c {
                    '(' | '[' | '<' => depth += 1,
                    ')' | ']' => depth -= 1,
                    '>' if last != '-' && last != '=' => depth -= 1,
                    _ => {}
                }
                if let Some(parameter) = parameters.last_mut() {
                    parameter.push(c);
                }
            }
        }
        last = c;
    }
    let trimmed = parameters.iter().map(|parameter| parameter.trim().to_owned());
    let is_self = |parameter: &String| parameter.split([' ', '&', ':']).any(|word| word == "self");
    trimmed.filter(|parameter| !parameter.is_empty() && !is_self(parameter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        findings(&SourceFile::new(path, text)).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn long_functions_are_found_at_their_first_line() {
        let function = |n: usize| format!("//! Doc.\npub(crate) async fn f() {{\n{}}}\n", "    x();\n".repeat(n - 2));
        assert_eq!(check("crates/x/src/a.rs", &function(70)), []);
        assert_eq!(check("crates/x/src/a.rs", &function(71)), [(2, "function-length")]);
        assert_eq!(check("crates/x/tests/a.rs", &function(71)), []);
        let declaration = format!("trait T {{\n    fn f(&self);\n{}}}\n", "\n".repeat(100));
        assert_eq!(check("crates/x/src/a.rs", &declaration), []);
    }

    #[test]
    fn many_parameters_are_counted_without_self_and_whatever_their_types_hold() {
        let four =
            "fn f<T: Fn(u8, u8) -> u8>(&mut self, a: (u8, u8), b: [u8; 4], c: impl Fn(u8, u8) -> u8, d: Map<K, V>) {}";
        assert_eq!(check("crates/x/src/a.rs", four), []);
        let five =
            "pub fn f(\n    a: u8,\n    b: u8,\n    c: Result<u8, u8>,\n    d: u8,\n    e: u8,\n) -> u8 {\n    1\n}";
        assert_eq!(check("crates/x/src/a.rs", five), [(1, "parameters")]);
    }

    #[test]
    fn a_bare_truth_value_is_no_parameter() {
        assert_eq!(check("crates/x/src/a.rs", "fn f(a: u8, dry_run: bool) {}"), [(1, "bool-parameter")]);
        assert_eq!(check("crates/x/src/a.rs", "fn f(a: &dyn Fn(bool) -> bool) -> bool { let x: bool = a; x }"), []);
    }
}
