//! Processes: a row each in a list, a page each when shown.

use tapit_model::{InstanceView, LastExitView, ProcessView, RolloutView, Seconds};

use super::events::events_table;
use super::format::{bytes, clean, command, or_dash, shorten, time};
use super::table::{Block, Cell, Table, Tint};

/// Longer commands are cut in the list; the page holds them whole.
const COMMAND_WIDTH: usize = 60;

pub fn processes_table(processes: &[ProcessView], colour: bool) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "DEMAND", "SPOT", "MEMORY", "CPU", "IMAGE", "COMMAND"]);
    for process in processes {
        table.row(vec![
            Cell::from(&process.name),
            status(process),
            format!("{}/{}", process.running.demand - stand_ins(process), process.demand_count).into(),
            format!("{}/{}{}", process.running.spot, process.spot_count, instead(process)).into(),
            process.memory.into(),
            process.cpu.into(),
            or_dash(process.image.as_deref()).into(),
            or_dash(Some(&shorten(&command(&process.command), COMMAND_WIDTH))).into(),
        ]);
    }
    table.render(colour)
}

/// The running demand instances that stand in for spot ones: those beyond what was asked for.
fn stand_ins(process: &ProcessView) -> u32 {
    process.running.demand.saturating_sub(process.demand_count).min(process.fallback)
}

/// ` (+2 on demand)`, or ` (+1 of 2 on demand)` as long as not all of them run.
fn instead(process: &ProcessView) -> String {
    match (stand_ins(process), process.fallback) {
        (_, 0) => String::new(),
        (running, all) if running == all => format!(" (+{all} on demand)"),
        (running, all) => format!(" (+{running} of {all} on demand)"),
    }
}

/// The status, and what it waits for: `pending: no image`.
fn status(process: &ProcessView) -> Cell {
    let text = match process.blocked.first() {
        Some(blocked) => format!("{}: {}", process.status, blocked.code.replace('_', " ")),
        None => process.status.clone(),
    };
    Cell::tinted(text, Tint::of(&process.status))
}

/// Everything known about a process.
pub fn process_page(process: &ProcessView, colour: bool) -> String {
    let mut page = head(process).render(colour);
    if let Some(rollout) = &process.rollout {
        page += "\nrollout\n";
        page += &rollout_block(rollout).render(colour);
        page.extend(rollout.log_tail.iter().map(|line| format!("  | {}\n", clean(line))));
    }
    if !process.blocked.is_empty() {
        let mut table = Table::new(&["WAITS FOR", "SINCE", "WHY"]);
        for blocked in &process.blocked {
            table.row(vec![
                blocked.code.replace('_', " ").into(),
                time(&blocked.since).into(),
                Cell::from(&blocked.text),
            ]);
        }
        page += &format!("\n{}", table.render(colour));
    }
    if !process.instances.is_empty() {
        page += &format!("\n{}", instances(&process.instances).render(colour));
    }
    if !process.events.is_empty() {
        page += &format!("\n{}", events_table(&process.events, colour));
    }
    page
}

fn head(process: &ProcessView) -> Block {
    let mut block = Block::default();
    block.line("name", &process.name);
    block.line("app", &process.app);
    block.line("engine", &process.engine);
    block.line("status", status(process));
    block.maybe("url", process.url.as_ref());
    block.line("image", or_dash(process.image.as_deref()));
    block.maybe("image_digest", process.image_digest.as_ref());
    block.maybe("version", process.version.as_ref());
    block.line("command", or_dash(Some(&command(&process.command))));
    block.line("memory", format!("{} GB", process.memory));
    block.line("cpu", format!("{} vCPU", process.cpu));
    let count = |wanted: u32, running: u32, pending: u32| match pending {
        0 => format!("{wanted} ({running} running)"),
        _ => format!("{wanted} ({running} running, {pending} pending)"),
    };
    let own = process.running.demand - stand_ins(process);
    let pending = process.demand_count.saturating_sub(own).min(process.pending.demand);
    block.line("demand_count", count(process.demand_count, own, pending));
    let spot = count(process.spot_count, process.running.spot, process.pending.spot);
    block.line("spot_count", format!("{spot}{}", instead(process)));
    block.maybe("spot_fallback", process.spot_fallback.map(|after| format!("after {}", Seconds(after))));
    block.line("port", process.port.map_or_else(|| "none".to_owned(), |port| port.to_string()));
    let health = &process.health;
    let path = health.path.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
    let after = match health.check.as_str() {
        "uptime" => format!("after {} s", health.min_healthy_time),
        _ => format!("within {} s", health.timeout),
    };
    block.line("health", format!("{}{path} {after}", health.check));
    block.line("drain_timeout", format!("{} s", process.drain_timeout));
    block.line("stop_timeout", format!("{} s", process.stop_timeout));
    if !process.userns {
        block.line("userns", "false (root inside is root on this machine)");
    }
    if !process.cap_add.is_empty() {
        block.line("cap_add", process.cap_add.join(","));
    }
    let generation = match process.running_generation {
        0 => format!("{} (none has run yet)", process.generation),
        running if running == process.generation => running.to_string(),
        running => format!("{} (running: {running})", process.generation),
    };
    block.line("generation", generation);
    block.line("created_at", &process.created_at);
    block.line("updated_at", &process.updated_at);
    block.maybe("restarted_at", process.restarted_at.as_ref());
    block
}

fn rollout_block(rollout: &RolloutView) -> Block {
    let mut block = Block::default();
    block.line("  id", format!("{} ({})", rollout.id, rollout.kind));
    block.line("  state", Cell::tinted(rollout.state.clone(), rollout_tint(&rollout.state)));
    block.line("  generations", format!("{} to {}", rollout.from, rollout.to));
    block.line("  started_at", &rollout.started_at);
    block.maybe("  finished_at", rollout.finished_at.as_ref());
    block.maybe("  reason", rollout.reason.as_ref());
    block.maybe("  last_exit", rollout.last_exit.as_ref().map(last_exit));
    let requests = &rollout.requests;
    if requests.sent > 0 {
        let text = format!(
            "{} sent, {} ok, {} failed, {} retried",
            requests.sent, requests.ok, requests.failed, requests.retried
        );
        block.line("  requests", text);
    }
    block
}

fn rollout_tint(state: &str) -> Tint {
    match state {
        "succeeded" => Tint::Good,
        "running" => Tint::Moving,
        "rolled_back" | "failed" => Tint::Bad,
        _ => Tint::Plain,
    }
}

fn instances(instances: &[InstanceView]) -> Table {
    let header = ["INSTANCE", "KIND", "STATE", "GENERATION", "IP", "MEMORY", "CPU", "RESTARTS", "STARTED", "REASON"];
    let mut table = Table::new(&header);
    for instance in instances {
        let exit = instance.last_exit.as_ref().map(last_exit);
        let reason = [instance.reason.clone(), exit].into_iter().flatten().collect::<Vec<_>>().join("; ");
        table.row(vec![
            Cell::from(&instance.id),
            Cell::from(&instance.kind),
            Cell::tinted(instance.state.clone(), Tint::of(&instance.state)),
            instance.generation.into(),
            or_dash(instance.ip.as_deref()).into(),
            or_dash(instance.memory_bytes.map(bytes).as_deref()).into(),
            or_dash(instance.cpu_percent.map(|cpu| format!("{cpu:.1} %")).as_deref()).into(),
            instance.restarts.into(),
            or_dash(instance.started_at.as_deref().map(time).as_deref()).into(),
            or_dash(Some(&reason)).into(),
        ]);
    }
    table
}

/// `exit code 1`, `killed by signal 9 (out of memory)`.
pub fn last_exit(exit: &LastExitView) -> String {
    let how = match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("killed by signal {signal}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    let oom = if exit.oom { " (out of memory)" } else { "" };
    format!("{how}{oom} at {}", time(&exit.at))
}
