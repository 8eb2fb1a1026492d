//! What is set for registries.

use tapit_model::RegistryView;

use super::format::or_dash;
use super::table::{Block, Cell, Table};

pub fn registries_table(registries: &[RegistryView], colour: bool) -> String {
    let mut table = Table::new(&["NAME", "USERNAME", "MIRROR", "PLAIN HTTP"]);
    for registry in registries {
        table.row(vec![
            Cell::from(&registry.name),
            or_dash(registry.username.as_deref()).into(),
            or_dash(Some(&registry.mirror.join(","))).into(),
            yes(registry).into(),
        ]);
    }
    table.render(colour)
}

pub fn registry_page(registry: &RegistryView, colour: bool) -> String {
    let mut block = Block::default();
    block.line("name", &registry.name);
    block.line("username", or_dash(registry.username.as_deref()));
    block.line("password", if registry.username.is_some() { "(set, not shown)" } else { "-" });
    block.line("mirror", or_dash(Some(&registry.mirror.join(", "))));
    block.line("plain_http", yes(registry));
    block.render(colour)
}

fn yes(registry: &RegistryView) -> &'static str {
    if registry.plain_http { "yes" } else { "no" }
}
