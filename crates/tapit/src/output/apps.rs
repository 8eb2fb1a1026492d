//! Apps.

use tapit_model::AppView;

use super::format::or_dash;
use super::table::{Block, Cell, Table, Tint};

pub fn apps_table(apps: &[AppView], colour: bool) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "IMAGE", "PROCESSES", "URL"]);
    for app in apps {
        table.row(vec![
            Cell::from(&app.name),
            status(&app.status),
            or_dash(app.image.as_deref()).into(),
            or_dash(Some(&app.processes.join(","))).into(),
            or_dash(app.url.as_deref()).into(),
        ]);
    }
    table.render(colour)
}

pub fn app_page(app: &AppView, colour: bool) -> String {
    let mut block = Block::default();
    block.line("name", &app.name);
    block.line("status", status(&app.status));
    block.line("image", or_dash(app.image.as_deref()));
    block.maybe("url", app.url.as_ref());
    block.line("processes", or_dash(Some(&app.processes.join(", "))));
    block.line("created_at", &app.created_at);
    block.line("updated_at", &app.updated_at);
    block.render(colour)
}

fn status(text: &str) -> Cell {
    Cell::tinted(text.to_owned(), Tint::of(text))
}
