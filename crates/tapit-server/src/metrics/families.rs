//! The table of metrics: a row each, with its name, its labels, what it says, and where its value comes from.

use tapit_model::{InstanceUsageView, NetworkUsage, Usage};

use super::{Measurements, ProcessMeasure};

pub struct Family {
    /// With its unit; a counter ends in `_total`.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    pub samples: fn(&Measurements) -> Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A value with those of the family's labels, in their order.
pub struct Sample {
    pub labels: Vec<String>,
    pub value: f64,
}

const NONE: &[&str] = &[];
const APP: &[&str] = &["app"];
const INSTANCE: &[&str] = &["app", "process", "instance", "kind"];

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Measurements) -> Vec<Sample>,
) -> Family {
    Family { name, kind: Kind::Gauge, labels, help, samples }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Measurements) -> Vec<Sample>,
) -> Family {
    Family { name, kind: Kind::Counter, labels, help, samples }
}

pub static FAMILIES: &[Family] = &[
    gauge("tapit_build_info", &["version", "engine"], "Always 1; the labels tell what runs.", |m| {
        vec![Sample { labels: vec![m.status.version.clone(), m.status.engine.clone()], value: 1.0 }]
    }),
    gauge("tapit_server_start_time_seconds", NONE, "When the server started, in seconds since 1970.", |m| {
        one(m.started_at)
    }),
    counter("tapit_server_cpu_seconds_total", NONE, "Cpu time of the server itself.", |m| one(m.server_cpu_seconds)),
    gauge("tapit_server_resident_memory_bytes", NONE, "Resident memory of the server itself.", |m| {
        one(m.status.server_memory_bytes as f64)
    }),
    gauge("tapit_server_open_files", NONE, "Descriptors that the server holds.", |m| one(m.server_open_files as f64)),
    gauge("tapit_server_warnings", NONE, "What this host lacks; tapit status says it in words.", |m| {
        one(m.status.warnings.len() as f64)
    }),
    gauge("tapit_capacity_memory_bytes", NONE, "Memory that instances may take together.", |m| {
        m.status.capacity_memory.map(|gb| one(from_gb(gb))).unwrap_or_default()
    }),
    gauge("tapit_capacity_memory_used_bytes", NONE, "Of that, what the limits of present instances take.", |m| {
        one(from_gb(m.status.used_memory))
    }),
    gauge("tapit_apps", NONE, "Apps.", |m| one(f64::from(m.status.apps))),
    gauge("tapit_processes", NONE, "Processes of all apps.", |m| one(f64::from(m.status.processes))),
    gauge(
        "tapit_process_status",
        &["app", "process", "status"],
        "Always 1; the label is the status word that tapit show prints.",
        |m| per_process(m, |p| vec![(vec![p.status], 1)]),
    ),
    gauge(
        "tapit_process_wanted_instances",
        &["app", "process", "kind"],
        "Instances that are asked for, by kind.",
        |m| per_process(m, |p| vec![(vec!["demand"], p.wanted_demand), (vec!["spot"], p.wanted_spot)]),
    ),
    gauge(
        "tapit_process_instances",
        &["app", "process", "state"],
        "Instances that are not stopped, by state. A state with none is left out.",
        |m| per_process(m, |p| p.instances.iter().map(|(state, count)| (vec![*state], *count)).collect()),
    ),
    gauge(
        "tapit_process_blocked",
        &["app", "process", "code"],
        "Always 1; there while something keeps the process from being what is asked for.",
        |m| per_process(m, |p| p.blocked.iter().map(|code| (vec![*code], 1)).collect()),
    ),
    counter("tapit_router_requests_total", APP, "Requests that came for the app.", |m| {
        m.requests.iter().map(|(app, counts)| sample(&[app], counts.sent as f64)).collect()
    }),
    counter(
        "tapit_router_responses_total",
        &["app", "outcome"],
        "Requests that an instance answered to the end (ok), and those that none did (failed): 502, 503, 504 or cut off.",
        |m| {
            let both = m.requests.iter().flat_map(|(app, counts)| {
                [sample(&[app, "ok"], counts.ok as f64), sample(&[app, "failed"], counts.failed as f64)]
            });
            both.collect()
        },
    ),
    counter("tapit_router_retries_total", APP, "Further attempts after one that an instance failed.", |m| {
        m.requests.iter().map(|(app, counts)| sample(&[app], counts.retried as f64)).collect()
    }),
    counter("tapit_instance_cpu_seconds_total", INSTANCE, "Cpu time since it started.", |m| {
        per_usage(m, |usage| Some(seconds(usage.cpu_usec)))
    }),
    gauge("tapit_instance_cpu_limit_cores", INSTANCE, "Its cpu size in vCPU.", |m| per_instance(m, |i| Some(i.cpu))),
    counter("tapit_instance_cpu_periods_total", INSTANCE, "Periods of 100 ms in which it wanted cpu.", |m| {
        per_usage(m, |usage| Some(usage.cpu_periods as f64))
    }),
    counter(
        "tapit_instance_cpu_throttled_periods_total",
        INSTANCE,
        "Those of them in which its cpu size held it back.",
        |m| per_usage(m, |usage| Some(usage.cpu_throttled_periods as f64)),
    ),
    counter("tapit_instance_cpu_throttled_seconds_total", INSTANCE, "Time for which it was held back.", |m| {
        per_usage(m, |usage| Some(seconds(usage.cpu_throttled_usec)))
    }),
    gauge(
        "tapit_instance_memory_bytes",
        INSTANCE,
        "Memory that it works with: all but pages of files that were not used of late.",
        |m| per_usage(m, |usage| Some(usage.memory_bytes as f64)),
    ),
    gauge(
        "tapit_instance_memory_unreclaimable_bytes",
        INSTANCE,
        "Memory that cannot be taken from it; at the limit it is killed.",
        |m| per_usage(m, |usage| Some(usage.memory_unreclaimable_bytes as f64)),
    ),
    gauge("tapit_instance_memory_cache_bytes", INSTANCE, "Pages of files, which can be dropped.", |m| {
        per_usage(m, |usage| Some(usage.memory_cache_bytes as f64))
    }),
    gauge("tapit_instance_memory_peak_bytes", INSTANCE, "The most that it ever held, pages of files counted.", |m| {
        per_usage(m, |usage| Some(usage.memory_peak_bytes as f64))
    }),
    gauge("tapit_instance_memory_limit_bytes", INSTANCE, "Its memory limit in force.", |m| {
        per_usage(m, |usage| Some(usage.memory_limit_bytes? as f64))
    }),
    counter("tapit_instance_oom_kills_total", INSTANCE, "Processes of it killed for lack of memory.", |m| {
        per_usage(m, |usage| Some(usage.oom_kills as f64))
    }),
    gauge("tapit_instance_pids", INSTANCE, "Processes and threads in it.", |m| {
        per_usage(m, |usage| Some(usage.pids as f64))
    }),
    gauge("tapit_instance_pids_limit", INSTANCE, "How many it may have.", |m| {
        per_usage(m, |usage| Some(usage.pids_limit? as f64))
    }),
    gauge(
        "tapit_instance_restarts",
        INSTANCE,
        "Failures in a row in its place before it; goes back to 0 with health.",
        |m| per_instance(m, |i| Some(f64::from(i.restarts))),
    ),
    gauge(
        "tapit_instance_pressure_ratio",
        &["app", "process", "instance", "kind", "resource"],
        "Share of the last 10 s in which some of it waited for cpu, memory or io. Not there on cgroup v1.",
        pressure,
    ),
    counter("tapit_instance_network_receive_bytes_total", INSTANCE, "Bytes that came to it.", |m| {
        per_network(m, |network| network.received_bytes)
    }),
    counter("tapit_instance_network_receive_packets_total", INSTANCE, "Packets that came to it.", |m| {
        per_network(m, |network| network.received_packets)
    }),
    counter("tapit_instance_network_receive_drops_total", INSTANCE, "Packets for it that were dropped.", |m| {
        per_network(m, |network| network.received_dropped)
    }),
    counter("tapit_instance_network_transmit_bytes_total", INSTANCE, "Bytes that it sent.", |m| {
        per_network(m, |network| network.sent_bytes)
    }),
    counter("tapit_instance_network_transmit_packets_total", INSTANCE, "Packets that it sent.", |m| {
        per_network(m, |network| network.sent_packets)
    }),
    counter("tapit_instance_network_transmit_drops_total", INSTANCE, "Packets of it that were dropped.", |m| {
        per_network(m, |network| network.sent_dropped)
    }),
];

fn one(value: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value }]
}

fn sample(labels: &[&str], value: f64) -> Sample {
    Sample { labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
}

fn seconds(usec: u64) -> f64 {
    usec as f64 / 1e6
}

/// Back from the view, whose four decimals are enough to tell the MiB.
fn from_gb(gb: f64) -> f64 {
    (gb * 1024.0).round() * 1024.0 * 1024.0
}

/// The values of a process, each with the labels that come after its own.
type Values = Vec<(Vec<&'static str>, u32)>;

fn per_process(m: &Measurements, values: fn(&ProcessMeasure) -> Values) -> Vec<Sample> {
    let samples = m.processes.iter().flat_map(|process| {
        let own = [process.app.as_str(), process.process.as_str()];
        values(process)
            .into_iter()
            .map(move |(more, value)| sample(&own.into_iter().chain(more).collect::<Vec<_>>(), f64::from(value)))
    });
    samples.collect()
}

fn labels(instance: &InstanceUsageView) -> [&str; 4] {
    [&instance.app, &instance.process, &instance.instance, &instance.kind]
}

fn per_instance(m: &Measurements, value: fn(&InstanceUsageView) -> Option<f64>) -> Vec<Sample> {
    m.instances.iter().filter_map(|instance| Some(sample(&labels(instance), value(instance)?))).collect()
}

fn per_usage(m: &Measurements, value: fn(&Usage) -> Option<f64>) -> Vec<Sample> {
    let samples = m.instances.iter().filter_map(|instance| {
        let usage = instance.usage.as_ref()?;
        Some(sample(&labels(instance), value(usage)?))
    });
    samples.collect()
}

fn per_network(m: &Measurements, value: fn(&NetworkUsage) -> u64) -> Vec<Sample> {
    let samples = m.instances.iter().filter_map(|instance| {
        let network = instance.usage.as_ref()?.network.as_ref()?;
        Some(sample(&labels(instance), value(network) as f64))
    });
    samples.collect()
}

fn pressure(m: &Measurements) -> Vec<Sample> {
    let of =
        |instance: &InstanceUsageView| {
            let pressure = instance.usage.as_ref()?.pressure?;
            let each = [("cpu", pressure.cpu), ("memory", pressure.memory), ("io", pressure.io)];
            let own = labels(instance);
            Some(each.map(|(resource, percent)| {
                sample(&own.into_iter().chain([resource]).collect::<Vec<_>>(), percent / 100.0)
            }))
        };
    m.instances.iter().filter_map(of).flatten().collect()
}
