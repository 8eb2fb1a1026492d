//! How AWS's own words are told: behind ours, on one line, and no more of them than help.

/// Of AWS's words, in characters.
const THEIRS_MAX: usize = 300;

/// Ours, and theirs in brackets.
pub fn with_theirs(ours: &str, theirs: &str) -> String {
    let theirs: String = theirs.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let theirs = theirs.trim();
    if theirs.is_empty() {
        return ours.to_owned();
    }
    let mut short: String = theirs.chars().take(THEIRS_MAX).collect();
    if short.len() < theirs.len() {
        short.push('…');
    }
    format!("{ours} [{short}]")
}
