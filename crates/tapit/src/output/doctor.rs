//! What an engine has and lacks.

use tapit_container::doctor::{Check, State};
use tapit_model::EngineKind;

use super::table::{Cell, Table, Tint};
use crate::commands::doctor::Report;

/// A line for each thing that was looked at; what is not in order is explained below.
pub fn doctor_page(report: &Report<'_>, colour: bool) -> String {
    let mut table = Table::new(&["FEATURE", "STATE", "FOUND"]);
    for check in report.checks {
        let (word, tint) = word(check.state);
        table.row(vec![Cell::from(check.feature), Cell::tinted(word.to_owned(), tint), Cell::from(&check.detail)]);
    }
    let mut page = table.render(colour);
    let advised: Vec<&Check> = report.checks.iter().filter(|check| !check.advice.is_empty()).collect();
    for check in advised {
        page += &format!("\n{} {}: {}\n", check.feature, word(check.state).0, check.advice);
    }
    page += match (report.engine, report.ok) {
        (EngineKind::Embedded, true) => "\nContainers can run here.\n",
        (EngineKind::Embedded, false) => "\nContainers cannot run here.\n",
        (EngineKind::Ecs, true) => "\nApps can run on ECS with these credentials.\n",
        (EngineKind::Ecs, false) => "\nApps cannot run on ECS with these credentials.\n",
    };
    page += &match &report.server {
        Some(version) => format!("A server runs here, version {version}.\n"),
        None => "No server answers here.\n".to_owned(),
    };
    page
}

fn word(state: State) -> (&'static str, Tint) {
    match state {
        State::Ok => ("ok", Tint::Good),
        State::Lacking => ("lacking", Tint::Moving),
        State::Missing => ("missing", Tint::Bad),
        State::Unknown => ("unknown", Tint::Moving),
    }
}
