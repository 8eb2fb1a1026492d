//! Events.

use tapit_model::EventView;

use super::format::{clean, or_dash, time};
use super::table::{Cell, Table};

pub fn events_table(events: &[EventView], colour: bool) -> String {
    let mut table = Table::new(&["TIME", "APP", "PROCESS", "INSTANCE", "EVENT", "TEXT"]);
    for event in events {
        table.row(vec![
            time(&event.at).into(),
            Cell::from(&event.app),
            or_dash(event.process.as_deref()).into(),
            or_dash(event.instance.as_deref()).into(),
            Cell::from(&event.kind),
            Cell::from(&event.text),
        ]);
    }
    table.render(colour)
}

/// Without a header and with fixed columns, for events that come one by one.
pub fn event_lines(events: &[EventView]) -> String {
    let line = |event: &EventView| {
        let place = match (&event.instance, &event.process) {
            (Some(instance), _) => format!("{}/{instance}", event.app),
            (None, Some(process)) => format!("{}/{process}", event.app),
            (None, None) => event.app.clone(),
        };
        clean(&format!("{}  {place:<24}  {:<20}  {}", time(&event.at), event.kind, event.text)).trim_end().to_owned()
            + "\n"
    };
    events.iter().map(line).collect()
}
