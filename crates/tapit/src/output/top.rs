//! What instances use: rates from two measurements, as a table and as a screen.

use serde::Serialize;
use tapit_model::{AppName, InstanceUsageView, Usage};

use super::format::{bytes, or_dash};
use super::table::{Cell, Table, Tint};

/// One instance over the time between two measurements. What was not measured is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopRow {
    pub app: String,
    pub process: String,
    pub instance: String,
    pub kind: String,
    pub state: String,
    /// Its size in vCPU.
    pub cpu: f64,
    /// Of one cpu.
    pub cpu_percent: Option<f64>,
    /// Of the periods in which it wanted cpu.
    pub throttled_percent: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub memory_unreclaimable_bytes: Option<u64>,
    pub memory_cache_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub memory_peak_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
    pub received_bytes_per_second: Option<u64>,
    pub sent_bytes_per_second: Option<u64>,
    pub pressure_cpu_percent: Option<f64>,
    pub pressure_memory_percent: Option<f64>,
    pub pressure_io_percent: Option<f64>,
    pub restarts: u32,
    pub oom_kills: Option<u64>,
    pub last_exit_oom: bool,
}

/// The instances of the second measurement; one that was not in the first has no rates.
pub fn top_rows(before: &[InstanceUsageView], after: &[InstanceUsageView]) -> Vec<TopRow> {
    let earlier = |now: &InstanceUsageView| {
        let same = |then: &&InstanceUsageView| then.app == now.app && then.instance == now.instance;
        before.iter().find(same)?.usage
    };
    after.iter().map(|now| row(now, earlier(now))).collect()
}

fn row(now: &InstanceUsageView, earlier: Option<Usage>) -> TopRow {
    let usage = now.usage.as_ref();
    let both = earlier.zip(now.usage).filter(|(then, now)| now.read_at_millis > then.read_at_millis);
    let network = both.and_then(|(then, now)| Some((span(&then, &now), then.network?, now.network?)));
    let rate = |then: u64, now: u64, millis: u64| now.saturating_sub(then).saturating_mul(1000) / millis;
    let pressure = usage.and_then(|usage| usage.pressure);
    TopRow {
        app: now.app.clone(),
        process: now.process.clone(),
        instance: now.instance.clone(),
        kind: now.kind.clone(),
        state: now.state.clone(),
        cpu: now.cpu,
        cpu_percent: both.map(|(then, now)| {
            tenths(now.cpu_usec.saturating_sub(then.cpu_usec) as f64 / span(&then, &now) as f64 / 10.0)
        }),
        throttled_percent: both.map(|(then, now)| {
            let throttled = now.cpu_throttled_periods.saturating_sub(then.cpu_throttled_periods) as f64;
            tenths(100.0 * throttled / (now.cpu_periods.saturating_sub(then.cpu_periods).max(1)) as f64)
        }),
        memory_bytes: usage.map(|usage| usage.memory_bytes),
        memory_unreclaimable_bytes: usage.map(|usage| usage.memory_unreclaimable_bytes),
        memory_cache_bytes: usage.map(|usage| usage.memory_cache_bytes),
        memory_limit_bytes: usage.and_then(|usage| usage.memory_limit_bytes),
        memory_peak_bytes: usage.map(|usage| usage.memory_peak_bytes),
        pids: usage.map(|usage| usage.pids),
        pids_limit: usage.and_then(|usage| usage.pids_limit),
        received_bytes_per_second: network
            .map(|(millis, then, now)| rate(then.received_bytes, now.received_bytes, millis)),
        sent_bytes_per_second: network.map(|(millis, then, now)| rate(then.sent_bytes, now.sent_bytes, millis)),
        pressure_cpu_percent: pressure.map(|pressure| pressure.cpu),
        pressure_memory_percent: pressure.map(|pressure| pressure.memory),
        pressure_io_percent: pressure.map(|pressure| pressure.io),
        restarts: now.restarts,
        oom_kills: usage.map(|usage| usage.oom_kills),
        last_exit_oom: now.last_exit_oom,
    }
}

fn span(then: &Usage, now: &Usage) -> u64 {
    now.read_at_millis.saturating_sub(then.read_at_millis).max(1)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

pub fn top_table(rows: &[TopRow], colour: bool) -> String {
    let mut table = Table::new(&[
        "INSTANCE",
        "STATE",
        "CPU",
        "THROTTLED",
        "MEMORY",
        "FIXED",
        "LIMIT",
        "PEAK",
        "PIDS",
        "RX/S",
        "TX/S",
        "RESTARTS",
        "OOMS",
    ]);
    for row in rows {
        let percent = |value: Option<f64>| or_dash(value.map(|value| format!("{value:.1} %")).as_deref());
        let rate = |value: Option<u64>| or_dash(value.map(bytes).as_deref());
        let size = |value: Option<u64>| or_dash(value.map(memory).as_deref());
        table.row(vec![
            Cell::from(&row.instance),
            Cell::tinted(row.state.clone(), Tint::of(&row.state)),
            percent(row.cpu_percent).into(),
            Cell::tinted(percent(row.throttled_percent), alarm(row.throttled_percent, 50.0)),
            size(row.memory_bytes).into(),
            Cell::tinted(size(row.memory_unreclaimable_bytes), alarm(fill(row), 90.0)),
            size(row.memory_limit_bytes).into(),
            size(row.memory_peak_bytes).into(),
            or_dash(row.pids.map(|pids| pids.to_string()).as_deref()).into(),
            rate(row.received_bytes_per_second).into(),
            rate(row.sent_bytes_per_second).into(),
            row.restarts.into(),
            (row.oom_kills.unwrap_or(0) + u64::from(row.last_exit_oom)).into(),
        ]);
    }
    table.render(colour)
}

/// How full its memory is with what cannot be taken from it, in percent.
fn fill(row: &TopRow) -> Option<f64> {
    Some(100.0 * row.memory_unreclaimable_bytes? as f64 / row.memory_limit_bytes?.max(1) as f64)
}

fn alarm(value: Option<f64>, from: f64) -> Tint {
    if value.is_some_and(|value| value >= from) { Tint::Bad } else { Tint::Plain }
}

/// In the units in which sizes are given: 512M is 512 MiB.
fn memory(count: u64) -> String {
    let mib = count as f64 / 1024.0 / 1024.0;
    match mib {
        mib if mib >= 1024.0 => format!("{:.2} GiB", mib / 1024.0),
        mib if mib >= 100.0 => format!("{mib:.0} MiB"),
        mib => format!("{mib:.1} MiB"),
    }
}

/// The table as it is drawn over the one before it, on so many lines.
pub fn top_screen(app: &AppName, rows: &[TopRow], lines: usize, colour: bool) -> String {
    const HOME: &str = "\x1b[H";
    const TO_END_OF_LINE: &str = "\x1b[K";
    const TO_END_OF_SCREEN: &str = "\x1b[J";
    let count = if rows.len() == 1 { "1 instance".to_owned() } else { format!("{} instances", rows.len()) };
    let table = top_table(rows, colour);
    let mut shown = vec![format!("{app}: {count}   (q ends)")];
    shown.extend(table.lines().map(str::to_owned));
    if shown.len() > lines {
        let hidden = shown.len() - lines + 1;
        shown.truncate(lines.saturating_sub(1));
        shown.push(format!("and {hidden} more"));
    }
    // No newline after the last line: it would push the first one off the screen.
    format!("{HOME}{}{TO_END_OF_LINE}{TO_END_OF_SCREEN}", shown.join(&format!("{TO_END_OF_LINE}\n")))
}
