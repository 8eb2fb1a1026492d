//! One-off tasks.

use tapit_model::TaskView;

use super::events::events_table;
use super::format::{command, or_dash, shorten, time};
use super::processes::last_exit;
use super::table::{Block, Cell, Table, Tint};

const COMMAND_WIDTH: usize = 40;

pub fn tasks_table(tasks: &[TaskView], colour: bool) -> String {
    let mut table = Table::new(&["ID", "STATE", "EXIT", "CREATED", "ENDED", "COMMAND", "WHY"]);
    for task in tasks {
        table.row(vec![
            task.id.to_string().into(),
            state(task),
            or_dash(task.exit_status.map(|status| status.to_string()).as_deref()).into(),
            time(&task.created_at).into(),
            or_dash(task.ended_at.as_deref().map(time).as_deref()).into(),
            or_dash(Some(&shorten(&command(&task.command), COMMAND_WIDTH))).into(),
            or_dash(task.reason.as_deref()).into(),
        ]);
    }
    table.render(colour)
}

/// Everything known about a task.
pub fn task_page(task: &TaskView, colour: bool) -> String {
    let mut block = Block::default();
    block.line("id", task.id.to_string());
    block.line("app", &task.app);
    block.line("engine", &task.engine);
    block.line("state", state(task));
    block.maybe("reason", task.reason.as_ref());
    block.maybe("exit_status", task.exit_status.map(|status| status.to_string()));
    block.maybe("last_exit", task.last_exit.as_ref().map(last_exit));
    block.line("command", or_dash(Some(&command(&task.command))));
    block.line("image", or_dash(task.image.as_deref()));
    block.maybe("image_digest", task.image_digest.as_ref());
    block.line("memory", format!("{} GB", task.memory));
    block.line("cpu", format!("{} vCPU", task.cpu));
    block.line("stop_timeout", format!("{} s", task.stop_timeout));
    block.maybe("instance", task.instance.as_ref());
    block.line("created_at", &task.created_at);
    block.maybe("started_at", task.started_at.as_ref());
    block.maybe("ended_at", task.ended_at.as_ref());
    let mut page = block.render(colour);
    if !task.events.is_empty() {
        page += &format!("\n{}", events_table(&task.events, colour));
    }
    page
}

fn state(task: &TaskView) -> Cell {
    let text = match task.blocked.first().filter(|_| task.state == "pending") {
        Some(blocked) => format!("{}: {}", task.state, blocked.code.replace('_', " ")),
        None => task.state.clone(),
    };
    Cell::tinted(text, Tint::of(&task.state))
}
