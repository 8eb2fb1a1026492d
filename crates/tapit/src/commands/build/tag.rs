//! A tag for an image that was given none: it should tell which state of the files was built.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tapit_model::Timestamp;
use tokio::process::Command;

use super::program;
use crate::builder::locate;

/// The commit, where the context is a git work tree that holds nothing else; the time otherwise, because two builds of
/// one commit with different changes would take each other's name.
pub async fn of(context: &Path, search: &str) -> String {
    match commit(context, search).await {
        Some(commit) => commit,
        None => time(SystemTime::now()),
    }
}

async fn commit(context: &Path, search: &str) -> Option<String> {
    let git = locate("git", search)?;
    let ask = async |words: &[&str]| program::answer(Command::new(&git).arg("-C").arg(context).args(words)).await.ok();
    let commit = ask(&["rev-parse", "--short=12", "HEAD"]).await?;
    let changed = ask(&["status", "--porcelain", "--", "."]).await?;
    let commit = commit.trim();
    let legal = commit.len() >= 12 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    (legal && changed.trim().is_empty()).then(|| commit.to_owned())
}

/// `20260131-120000`, in UTC.
fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = digits.split_at(digits.len().min(8));
    format!("{day}-{time}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_as_a_tag_is_sorted_by_itself() {
        assert_eq!(time(UNIX_EPOCH + Duration::from_secs(1_769_860_805)), "20260131-120005");
    }
}
