//! Which names AWS takes, and pages of them.

use super::refusal::Refusal;

const PAGE: usize = 100;

/// Letters, digits, `-` and `_`: of clusters, services and families.
pub(super) fn ecs(what: &str, name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
        return Err(Refusal::invalid(format_args!("{what} contains invalid characters or is too long: {name:?}")));
    }
    Ok(())
}

/// Letters, digits and `-` that is not at the ends: of load balancers and target groups.
pub(super) fn balancing(what: &str, name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let refuse = |why: &str| Err(Refusal::validation(format_args!("{what} name '{name}' {why}")));
    if name.is_empty() || name.len() > 32 {
        return refuse("cannot be longer than '32' characters");
    }
    if !name.chars().all(legal) {
        return refuse("can only contain characters that are alphanumeric characters and hyphens(-)");
    }
    if name.starts_with('-') || name.ends_with('-') || name.starts_with("internal-") {
        return refuse("cannot begin or end with '-', nor begin with 'internal-'");
    }
    Ok(())
}

/// 100 at once; the token says where the next page begins.
pub(super) fn page<T>(all: Vec<T>, next: Option<&String>) -> Result<(Vec<T>, Option<String>), Refusal> {
    let from = match next {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|number| number.parse::<usize>().ok())
            .ok_or_else(|| Refusal::invalid(format_args!("Invalid token {token}")))?,
    };
    let end = from.saturating_add(PAGE);
    let next = (all.len() > end).then(|| format!("page-{end}"));
    Ok((all.into_iter().skip(from).take(PAGE).collect(), next))
}
