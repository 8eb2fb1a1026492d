//! The server.

use tapit_model::StatusView;

use super::format::bytes;
use super::table::Block;

pub fn status_page(status: &StatusView, colour: bool) -> String {
    let gb = |value: f64| (value * 100.0).round() / 100.0;
    let memory = match status.capacity_memory {
        Some(capacity) => format!("{} of {} GB taken", gb(status.used_memory), gb(capacity)),
        None => format!("{} GB taken", gb(status.used_memory)),
    };
    let mut block = Block::default();
    block.line("version", &status.version);
    block.line("engine", &status.engine);
    block.line("api", &status.api);
    block.line("http", &status.http);
    block.line("data_dir", &status.data_dir);
    block.line("started_at", &status.started_at);
    block.line("pid", status.pid);
    block.line("apps", status.apps);
    block.line("processes", status.processes);
    block.line("instances", status.instances);
    block.line("memory", memory);
    let images = match status.images_disk {
        Some(disk) => format!("{} of {} GB taken", bytes(status.images_bytes), gb(disk)),
        None => format!("{} taken", bytes(status.images_bytes)),
    };
    block.line("images", images);
    block.line("server_memory", bytes(status.server_memory_bytes));
    for warning in &status.warnings {
        block.line("warning", warning);
    }
    block.render(colour)
}
