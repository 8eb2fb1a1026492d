//! What a collector reads, by a reader that knows the format and not this program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tapit_model::{InstanceUsageView, NetworkUsage, Pressure, RequestCounts, StatusView, Usage};

use super::families::{FAMILIES, Kind};
use super::{Measurements, ProcessMeasure, exposition};

fn status() -> StatusView {
    StatusView {
        version: "0.1.0".to_owned(),
        engine: "embedded".to_owned(),
        api: String::new(),
        http: String::new(),
        data_dir: String::new(),
        started_at: String::new(),
        pid: 1,
        apps: 1,
        processes: 1,
        instances: 2,
        capacity_memory: Some(2.0),
        used_memory: 0.5,
        images_bytes: 0,
        images_disk: None,
        server_memory_bytes: 20_000_000,
        warnings: Vec::new(),
    }
}

fn instance(serial: u32, app: &str) -> InstanceUsageView {
    let network = NetworkUsage { received_bytes: 1000, sent_bytes: 2000, ..NetworkUsage::default() };
    let usage = Usage {
        cpu_usec: 1_500_000,
        memory_bytes: 10 << 20,
        memory_limit_bytes: Some(512 << 20),
        pids_limit: Some(1024),
        pressure: Some(Pressure { cpu: 12.5, memory: 0.0, io: 1.0 }),
        network: Some(network),
        ..Usage::default()
    };
    InstanceUsageView {
        app: app.to_owned(),
        process: "web".to_owned(),
        instance: format!("web.{serial}"),
        kind: "demand".to_owned(),
        state: "healthy".to_owned(),
        restarts: 0,
        cpu: 0.25,
        last_exit_oom: false,
        usage: Some(usage),
    }
}

fn measurements(instances: Vec<InstanceUsageView>) -> Measurements {
    let process = ProcessMeasure {
        app: "shop".to_owned(),
        process: "web".to_owned(),
        status: "running",
        wanted_demand: 2,
        wanted_spot: 0,
        instances: BTreeMap::from([("healthy", 2)]),
        blocked: vec!["capacity"],
    };
    Measurements {
        status: status(),
        started_at: 1_760_000_000.5,
        server_cpu_seconds: 0.25,
        server_open_files: 40,
        processes: vec![process],
        instances,
        requests: vec![("shop".to_owned(), RequestCounts { sent: 10, ok: 8, failed: 1, retried: 2 })],
    }
}

type Labels = BTreeMap<String, String>;

/// A reader of the text format: every family once, help and type before its samples, no sample twice.
fn read(text: &str) -> BTreeMap<String, Vec<(Labels, f64)>> {
    let mut families: BTreeMap<String, Vec<(Labels, f64)>> = BTreeMap::new();
    let (mut helped, mut current) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help has a text");
            assert!(!help.is_empty(), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(name == helped && ["counter", "gauge"].contains(&kind), "{line}");
            name.clone_into(&mut current);
            assert!(families.insert(name.to_owned(), Vec::new()).is_none(), "twice: {line}");
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(name, current, "{line}");
            let samples = families.get_mut(&name).expect("its type came first");
            assert!(samples.iter().all(|(other, _)| *other != labels), "twice: {line}");
            samples.push((labels, value));
        }
    }
    families
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
    let mut labels = Labels::new();
    while let Some(after) = rest.strip_prefix(['{', ',']) {
        let (label, mut after) = after.split_once("=\"").expect("a label");
        let mut value = String::new();
        loop {
            let at = after.find(['\\', '"']).expect("a closing quote");
            value += &after[..at];
            let escape = after.as_bytes()[at] == b'\\';
            after = &after[at + 1..];
            if !escape {
                break;
            }
            value.push(match after.as_bytes()[0] {
                b'n' => '\n',
                other => char::from(other),
            });
            after = &after[1..];
        }
        assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
        rest = after;
    }
    let rest = rest.strip_prefix('}').unwrap_or(rest);
    (name.to_owned(), labels, rest.strip_prefix(' ').expect("a space").parse().expect("a number"))
}

#[test]
fn a_collector_reads_every_family_with_its_samples() {
    let read = read(&exposition(&measurements(vec![instance(1, "shop"), instance(2, "shop")])));
    assert_eq!(read.len(), FAMILIES.len());
    assert!(read.values().all(|samples| !samples.is_empty()), "{read:?}");
    let value = |name: &str| read[name].iter().map(|(_, value)| *value).collect::<Vec<_>>();
    assert_eq!(value("tapit_instance_cpu_seconds_total"), [1.5, 1.5]);
    assert_eq!(value("tapit_capacity_memory_bytes"), [2_147_483_648.0]);
    assert_eq!(value("tapit_router_responses_total"), [8.0, 1.0]);
    assert_eq!(value("tapit_server_start_time_seconds"), [1_760_000_000.5]);
    let (labels, pressure) = &read["tapit_instance_pressure_ratio"][0];
    assert_eq!((labels["resource"].as_str(), labels["instance"].as_str(), *pressure), ("cpu", "web.1", 0.125));
    assert_eq!(read["tapit_process_instances"][0].0["state"], "healthy");
}

#[test]
fn what_is_not_measured_has_no_sample_rather_than_a_zero() {
    let unmeasured = InstanceUsageView { usage: None, ..instance(1, "shop") };
    let read = read(&exposition(&measurements(vec![unmeasured])));
    assert!(read["tapit_instance_memory_bytes"].is_empty() && read["tapit_instance_pressure_ratio"].is_empty());
    assert_eq!(read["tapit_instance_restarts"].len(), 1);
}

#[test]
fn labels_are_escaped_so_that_no_name_can_add_a_sample() {
    let app = "a\"} 1\ntapit_apps 7\\";
    let read = read(&exposition(&measurements(vec![instance(1, app)])));
    assert_eq!(read["tapit_instance_pids"][0].0["app"], app);
    assert_eq!(read["tapit_apps"][0].1, 1.0);
}

#[test]
fn names_carry_their_unit_and_counters_say_that_they_are() {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        let name = family.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("tapit_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(family.help.ends_with('.'), "{name}");
        for sample in (family.samples)(&measurements(vec![instance(1, "shop")])) {
            assert_eq!(sample.labels.len(), family.labels.len(), "{name}");
        }
    }
}

#[test]
fn two_hundred_instances_are_written_at_once() {
    let measurements = measurements((0..200).map(|serial| instance(serial, "shop")).collect());
    let begun = std::time::Instant::now();
    let text = exposition(&measurements);
    println!("{} bytes for 200 instances in {:?}", text.len(), begun.elapsed());
    assert_eq!(read(&text)["tapit_instance_pids"].len(), 200);
}

/// With `TAPIT_BLESS` set, writes the page instead.
#[test]
fn the_page_of_metrics_lists_what_there_is() {
    let mut page = String::from(PAGE);
    for family in FAMILIES {
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" ");
        page += &format!("| `{}` | {} | {labels} | {} |\n", family.name, family.kind.as_str(), family.help);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("TAPIT_BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == page,
        "docs/metrics.md is out of date; TAPIT_BLESS=1 cargo test -p tapit-server --lib metrics writes it"
    );
}

const PAGE: &str = "\
# Metrics

`GET /metrics` of the API answers in the text format of Prometheus. It is guarded like every other call: on the unix socket the
server's user and root are answered, on TCP whoever brings the token. This page is made from the table that the answer is
made from.

A server with `--api 127.0.0.1:9090` and `TAPIT_TOKEN` set is scraped with:

```yaml
scrape_configs:
  - job_name: tapit
    authorization: {credentials: THE-TOKEN}
    static_configs: [{targets: [\"127.0.0.1:9090\"]}]
```

By hand, over the socket: `curl --unix-socket /var/lib/tapit/tapit.sock http://localhost/metrics`.

Instances appear with their first measurement and vanish when they have stopped; an instance's id is never given to another one.
Useful questions:

```promql
rate(tapit_instance_cpu_throttled_periods_total[5m]) / rate(tapit_instance_cpu_periods_total[5m])   # held back by cpu=
tapit_instance_memory_unreclaimable_bytes / tapit_instance_memory_limit_bytes > 0.9                 # near its end
sum by (app, process) (tapit_process_instances{state=\"healthy\"})                                    # what serves
rate(tapit_router_responses_total{outcome=\"failed\"}[5m])                                            # what users see
```

| metric | type | labels | what it says |
| --- | --- | --- | --- |
";
