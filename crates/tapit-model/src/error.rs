//! Refusals: a small code to branch on, prose to read.

use serde::{Deserialize, Serialize};

/// What kind of no it is. The exit status and the HTTP status follow from it, each in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The operation was tried and failed.
    Failed,
    /// The request itself is wrong.
    Usage,
    /// Nothing of that name.
    NotFound,
    /// Conflicts with the present state.
    Conflict,
    /// Not allowed.
    Denied,
    /// The server cannot be reached, or cannot answer now.
    Unavailable,
}

impl Code {
    pub const ALL: [Code; 6] =
        [Code::Failed, Code::Usage, Code::NotFound, Code::Conflict, Code::Denied, Code::Unavailable];

    /// The exit status of the command line.
    pub fn exit_status(self) -> u8 {
        match self {
            Code::Failed => 1,
            Code::Usage => 2,
            Code::NotFound => 3,
            Code::Conflict => 4,
            Code::Denied => 5,
            Code::Unavailable => 6,
        }
    }

    pub fn http_status(self) -> u16 {
        match self {
            Code::Failed => 500,
            Code::Usage => 400,
            Code::NotFound => 404,
            Code::Conflict => 409,
            Code::Denied => 403,
            Code::Unavailable => 503,
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Code::Failed => {
                "the operation failed (a rollout that did not get healthy; a task's failure is its own code)"
            }
            Code::Usage => "the command line is wrong",
            Code::NotFound => "nothing of that name",
            Code::Conflict => "conflict with the present state",
            Code::Denied => "not allowed",
            Code::Unavailable => "the server cannot be reached",
        }
    }
}

/// A request that was refused; nothing was changed. Also the body of every error answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{message}")]
pub struct Refusal {
    pub code: Code,
    /// What is wrong, with which value, and what to do.
    pub message: String,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }
}

/// An error and its causes in one line, each said once.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(said.trim_end()) {
            text += ": ";
            text += said.trim_end();
        }
        cause = error.source();
    }
    text
}

/// The candidate nearest to a mistyped word, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= bound || (word.len() >= 3 && candidate.starts_with(word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn an_error_is_told_with_its_causes_each_said_once() {
        let io = Step("no such file\n", None);
        let transparent = Step("opening x: no such file\n", Some(Box::new(io)));
        assert_eq!(describe(&transparent), "opening x: no such file\n");
        let wrapped = Step("starting", Some(Box::new(Step("opening x", Some(Box::new(Step("no such file\n", None)))))));
        assert_eq!(describe(&wrapped), "starting: opening x: no such file");
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let keys = ["memory", "cpu", "demand_count", "spot_count"];
        assert_eq!(nearest("memroy", keys), Some("memory"));
        assert_eq!(nearest("demandcount", keys), Some("demand_count"));
        assert_eq!(nearest("mem", keys), Some("memory"));
        assert_eq!(nearest("colour", keys), None);
    }
}
