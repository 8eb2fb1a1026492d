//! Rates from two measurements, and the screen that they are drawn on.

use tapit_cli::output::{top_rows, top_screen, top_table};
use tapit_model::{AppName, InstanceUsageView, NetworkUsage, Usage};

fn instance(serial: u32, usage: Option<Usage>) -> InstanceUsageView {
    InstanceUsageView {
        app: "shop".to_owned(),
        process: "web".to_owned(),
        instance: format!("web.{serial}"),
        kind: "demand".to_owned(),
        state: "healthy".to_owned(),
        restarts: 2,
        cpu: 0.25,
        last_exit_oom: serial == 2,
        usage,
    }
}

fn usage(at: u64, cpu_millis: u64, periods: u64, throttled: u64, received: u64) -> Option<Usage> {
    Some(Usage {
        read_at_millis: at,
        cpu_usec: cpu_millis * 1000,
        cpu_periods: periods,
        cpu_throttled_periods: throttled,
        memory_bytes: 600 << 20,
        memory_unreclaimable_bytes: 500 << 20,
        memory_limit_bytes: Some(512 << 20),
        network: Some(NetworkUsage { received_bytes: received, ..NetworkUsage::default() }),
        ..Usage::default()
    })
}

#[test]
fn rates_are_drawn_over_the_time_between_the_two_readings() {
    let before = [instance(1, usage(10_000, 1000, 100, 10, 5000))];
    let after = [instance(1, usage(12_000, 1500, 120, 15, 9000)), instance(2, usage(12_000, 9, 9, 9, 9))];
    let rows = top_rows(&before, &after);
    assert_eq!((rows[0].cpu_percent, rows[0].throttled_percent), (Some(25.0), Some(25.0)));
    assert_eq!((rows[0].received_bytes_per_second, rows[0].sent_bytes_per_second), (Some(2000), Some(0)));
    assert_eq!((rows[1].cpu_percent, rows[1].received_bytes_per_second), (None, None), "a new one has no rates yet");
    assert_eq!(rows[1].memory_bytes, Some(600 << 20));
}

#[test]
fn two_readings_at_one_moment_and_counters_that_went_back_give_no_nonsense() {
    let at = |at, cpu| [instance(1, usage(at, cpu, 100, 10, 5000))];
    assert_eq!(top_rows(&at(5, 1), &at(5, 2))[0].cpu_percent, None);
    assert_eq!(top_rows(&at(5, 1000), &at(1005, 1))[0].cpu_percent, Some(0.0));
    let unmeasured = top_rows(&at(5, 1), &[instance(1, None)]);
    assert_eq!((unmeasured[0].cpu_percent, unmeasured[0].memory_bytes), (None, None));
}

#[test]
fn a_table_says_sizes_as_they_are_given_and_a_dash_where_nothing_was_measured() {
    let rows = top_rows(&[], &[instance(1, usage(1, 1, 0, 0, 0)), instance(2, None)]);
    let table = top_table(&rows, false);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["INSTANCE", "STATE", "CPU", "THROTTLED"]);
    assert_eq!(lines[1].join(" "), "web.1 healthy - - 600 MiB 500 MiB 512 MiB 0.0 MiB 0 - - 2 0", "{table}");
    assert_eq!(
        lines[2].join(" "),
        "web.2 healthy - - - - - - - - - 2 1",
        "the end of the one before it counts: {table}"
    );
    assert!(top_table(&rows, true).contains("\x1b[31m500 MiB"), "memory that is nearly full stands out");
}

#[test]
fn a_screen_holds_no_more_lines_than_the_terminal() {
    let app = AppName::parse("shop").expect("a name");
    let many: Vec<_> = (1..=50).map(|serial| instance(serial, usage(1, 1, 0, 0, 0))).collect();
    let rows = top_rows(&[], &many);
    let screen = top_screen(&app, &rows, 10, false);
    assert_eq!(screen.matches('\n').count(), 9, "{screen:?}");
    assert!(screen.starts_with("\x1b[Hshop: 50 instances") && screen.contains("and 43 more"), "{screen:?}");
    let screen = top_screen(&app, &rows[..1], 10, false);
    assert!(screen.contains("1 instance ") && !screen.contains("more"), "{screen:?}");
    top_screen(&app, &rows, 0, false);
}
