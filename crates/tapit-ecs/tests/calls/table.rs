//! Calls as lines of a table. Pure.

use std::collections::BTreeMap;

use tapit_ecs::api::Operation;
use tapit_ecs::sim::Call;

/// An operation of a user, and what it took.
pub struct Row {
    pub what: &'static str,
    /// Until it was done.
    pub during: Vec<Call>,
    /// In the time after that, in which things are tidied up and looked at now and then.
    pub after: Vec<Call>,
}

/// Changes are told by name, however late they come; looks up to the end, and how many followed.
pub fn operations(rows: &[Row]) -> String {
    let mut lines = vec![
        "| operation | calls that change | looks until it is done | in the 3 minutes after |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        let changes: Vec<&Call> =
            row.during.iter().chain(&row.after).filter(|made| !is_look(made.request.operation())).collect();
        let looks: Vec<&Call> = row.during.iter().filter(|made| is_look(made.request.operation())).collect();
        let after = row.after.iter().filter(|made| is_look(made.request.operation())).count();
        format!("| {} | {} | {} | {after} |", row.what, told(&changes), told(&looks))
    }));
    lines.join("\n")
}

/// Each with the processes of an app and the calls of so many minutes.
pub fn idle(rows: &[(usize, Vec<Call>)], minutes: usize) -> String {
    let mut lines = vec!["| an idle app | calls a minute | of which |".to_owned(), "| --- | --- | --- |".to_owned()];
    lines.extend(rows.iter().map(|(processes, calls)| {
        let tenths = calls.len() * 10 / minutes;
        let noun = if *processes == 1 { "process" } else { "processes" };
        let all: Vec<&Call> = calls.iter().collect();
        let of = each(&all).into_iter().map(|(name, count)| {
            let tenths = count * 10 / minutes;
            format!("{name} {}.{}", tenths / 10, tenths % 10)
        });
        let of = of.collect::<Vec<_>>().join(", ");
        format!("| of {processes} {noun} | {}.{} | {of} |", tenths / 10, tenths % 10)
    }));
    lines.join("\n")
}

/// AWS's verbs tell it: what is described, listed or got stays as it is.
fn is_look(operation: Operation) -> bool {
    ["Describe", "List", "Get"].iter().any(|verb| name(operation).starts_with(verb))
}

fn told(calls: &[&Call]) -> String {
    if calls.is_empty() {
        return "0".to_owned();
    }
    let each = each(calls).into_iter().map(|(name, count)| match count {
        1 => name.to_owned(),
        more => format!("{more} {name}"),
    });
    format!("{}: {}", calls.len(), each.collect::<Vec<_>>().join(", "))
}

fn each(calls: &[&Call]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for made in calls {
        *counts.entry(name(made.request.operation())).or_default() += 1;
    }
    counts
}

/// Without the service it is of.
fn name(operation: Operation) -> &'static str {
    operation.permission().split_once(':').map_or(operation.permission(), |(_, name)| name)
}
