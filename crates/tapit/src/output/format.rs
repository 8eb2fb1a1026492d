//! Small pieces of text.

use std::time::SystemTime;

/// Text that cannot drive the terminal: whatever a container logged or a server answered is shown, never obeyed.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// At most so many characters, the last of them an ellipsis where some were left out.
pub fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

pub fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// `2026-01-31T12:00:00.123Z` without the fraction, as a table shows it.
pub fn time(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, fraction)) if fraction.ends_with('Z') => format!("{seconds}Z"),
        Some(_) | None => text.to_owned(),
    }
}

pub fn layers(count: u32) -> String {
    if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") }
}

/// Bytes for people: three digits and a unit.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" || value >= 99.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A command as a shell would read it.
pub fn command(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// The twelve digits by which a digest is known in a table.
pub fn short_digest(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(12).collect()
}

/// How long ago a time was, in its largest unit; a dash for one that cannot be read.
pub fn age(text: &str, now: SystemTime) -> String {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let Some(then) = seconds(text) else { return or_dash(None) };
    let age = now.saturating_sub(then);
    match age {
        0..60 => format!("{age}s"),
        60..3_600 => format!("{}m", age / 60),
        3_600..172_800 => format!("{}h", age / 3_600),
        _ => format!("{}d", age / 86_400),
    }
}

/// Seconds since 1970 of a time as the API writes it: `2026-01-31T12:00:00.123Z`.
fn seconds(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |part: &str| part.parse::<u64>().ok().filter(|number| *number < 10_000);
    let [year, month, day] = date.splitn(3, '-').map(number).collect::<Option<Vec<u64>>>()?[..] else { return None };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let [hour, minute, second] = clock.splitn(3, ':').map(number).collect::<Option<Vec<u64>>>()?[..] else {
        return None;
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    (days * 86_400 + hour * 3_600 + minute * 60 + second).checked_sub(DAYS_TO_1970 * 86_400)
}

/// From March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        for (text, expected) in [
            ("2025-10-09T08:53:20.123Z", "0s"),
            ("2025-10-09T08:52:21Z", "59s"),
            ("2025-10-09T08:52:20Z", "1m"),
            ("2025-10-09T07:53:21Z", "59m"),
            ("2025-10-08T08:53:20Z", "24h"),
            ("2025-10-07T08:53:20Z", "2d"),
            ("2024-02-29T08:53:20Z", "588d"),
            ("1970-01-01T00:00:00.000Z", "20370d"),
            // The clock of the server goes before ours.
            ("2025-10-09T09:53:20Z", "0s"),
            ("", "-"),
            ("2025-13-09T08:53:20Z", "-"),
            ("2025-10-09T08:53:20+01:00", "-"),
            ("1969-12-31T00:00:00Z", "-"),
            ("99999999999999999999-10-09T08:53:20Z", "-"),
        ] {
            assert_eq!(age(text, base), expected, "{text}");
        }
    }
}
