//! What an app would find different on another engine, thing by thing.
//!
//! Only what can be told without asking AWS: neither prices nor whether the account's quotas suffice.

use std::collections::BTreeSet;

use tapit_model::{
    AppName, Capability, Check, DifferenceView, EngineKind, ImageRef, ImageSource, Port, PortSetting, Process, Seconds,
    Template, World,
};

use super::limits::{SPOT_NOTICE, STOP_TIMEOUT, UNCHECKED_HEALTHY, can_add};
use super::size::{self, Fit, fit};
use crate::app::{health_check, resolve_port};

pub struct DiffInputs<'a> {
    pub world: &'a World,
    pub app: &'a AppName,
    /// Images that were brought to the server by hand, so that no registry has them.
    pub local: &'a BTreeSet<ImageRef>,
    /// The engine that runs the app, and the one that is asked about.
    pub here: EngineKind,
    pub there: EngineKind,
}

/// One thing as it is on either engine.
struct Row {
    what: &'static str,
    embedded: String,
    ecs: String,
    note: String,
}

/// By process, in the order of its keys. An engine does not differ from itself.
pub fn diff(inputs: &DiffInputs) -> Vec<DifferenceView> {
    let ecs_is_there = match (inputs.here, inputs.there) {
        (EngineKind::Embedded, EngineKind::Ecs) => true,
        (EngineKind::Ecs, EngineKind::Embedded) => false,
        (EngineKind::Embedded, EngineKind::Embedded) | (EngineKind::Ecs, EngineKind::Ecs) => return Vec::new(),
    };
    let alive = inputs.world.processes_of(inputs.app).filter(|process| !process.deleting);
    let rows = alive.flat_map(|process| rows(inputs, process).into_iter().map(move |row| (process, row)));
    let differing = rows.filter(|(_, row)| row.embedded != row.ecs);
    differing
        .map(|(process, Row { what, embedded, ecs, note })| {
            let (here, there) = if ecs_is_there { (embedded, ecs) } else { (ecs, embedded) };
            DifferenceView { process: process.key.process.to_string(), what: what.to_owned(), here, there, note }
        })
        .collect()
}

fn rows(inputs: &DiffInputs, process: &Process) -> Vec<Row> {
    let newest = inputs.world.generations.get(&(process.key.clone(), process.generation));
    let template = newest.map(|generation| &generation.template);
    let mut rows: Vec<Row> = [size_row(process), Some(resize_row()), spot_row(process)].into_iter().flatten().collect();
    rows.extend(template.and_then(|template| image_row(inputs.local, template)));
    rows.extend(template.map(|template| listening_rows(process, template)).unwrap_or_default());
    rows.extend(stop_row(process));
    rows.extend(confinement_rows(process));
    rows.push(inside_row());
    rows
}

fn row(what: &'static str, embedded: impl Into<String>, ecs: impl Into<String>, note: impl Into<String>) -> Row {
    Row { what, embedded: embedded.into(), ecs: ecs.into(), note: note.into() }
}

fn size_row(process: &Process) -> Option<Row> {
    let size = process.spec.size;
    let (ecs, note) = match fit(size) {
        Fit::Exact(_) => return None,
        Fit::Nearest { larger: Some(larger), smaller: _ } => {
            let note = "Fargate has a table of sizes and refuses others; this is the nearest that is not smaller";
            (size::words(larger), note.to_owned())
        }
        Fit::Nearest { larger: None, smaller: _ } => {
            ("none".to_owned(), format!("Fargate has nothing so large; the largest is {}", size::words(size::LARGEST)))
        }
    };
    Some(row("size", size::words(size), ecs, note))
}

fn resize_row() -> Row {
    let note = "a task keeps the size that it was started with: every instance is replaced";
    row("resize", "in place, or rolling", "rolling", note)
}

fn spot_row(process: &Process) -> Option<Row> {
    (process.spec.spot > 0).then(|| {
        let note = "ECS tries again while AWS has none to spare, and spot_fallback=TIME runs them on demand; the notice is 2 minutes on either";
        row("spot_count", "memory that this machine has to spare", "Fargate Spot", note)
    })
}

fn image_row(local: &BTreeSet<ImageRef>, template: &Template) -> Option<Row> {
    let image = match &template.image {
        ImageSource::Pinned(image) => &image.reference,
        ImageSource::Named(image) => image,
        ImageSource::Unknown => return None,
    };
    local.contains(image).then(|| {
        let note = "it was imported or built, and ECS pulls from registries alone";
        row("image", format!("{image}, as it is held"), "pushed to the app's repository in ECR first", note)
    })
}

/// How it is reached, and how it is known to be healthy.
fn listening_rows(process: &Process, template: &Template) -> Vec<Row> {
    let exposed = match &template.image {
        ImageSource::Pinned(image) => image.exposed.as_slice(),
        ImageSource::Named(_) | ImageSource::Unknown => &[],
    };
    let name = &process.key.process;
    let check = health_check(name, template, exposed);
    let Some(port) = resolve_port(template.port, exposed) else { return vec![pace_row(&check)] };
    let mut rows = Vec::new();
    if name.is_public() {
        rows.extend(public_health_row(&check, port));
        rows.extend(drain_row(process));
        let note = "another address than here; `tapit show app` tells it";
        rows.push(row("address", "the server's own router", "a load balancer", note));
    } else {
        rows.extend(internal_health_row(&check, template.health.min_healthy));
        rows.push(pace_row(&check));
    }
    // Where nothing says that it listens, nobody will look for its name.
    if name.is_public() || matches!(template.port, PortSetting::Port(_)) || exposed.len() == 1 {
        let note = "processes do not find each other by name there: Service Connect would have to be set up by hand";
        rows.push(row("names", format!("http://{name}:{port}"), "none", note));
    }
    rows
}

fn public_health_row(check: &Check, port: Port) -> Option<Row> {
    let ecs = match check {
        Check::Http { .. } => return None,
        Check::Tcp(_) | Check::Uptime(_) => format!("http / on {port}, any answer"),
    };
    Some(row("health", check_words(check), ecs, "a load balancer asks in HTTP alone; health_path=/PATH says what"))
}

fn internal_health_row(check: &Check, min_healthy: Seconds) -> Option<Row> {
    match check {
        Check::Uptime(_) => None,
        Check::Tcp(_) | Check::Http { .. } => {
            let note = "only what a load balancer leads to is asked there: min_healthy_time counts";
            Some(row("health", check_words(check), check_words(&Check::Uptime(min_healthy)), note))
        }
    }
}

/// When a rollout goes on to the next instance of what no load balancer leads to.
fn pace_row(check: &Check) -> Row {
    let ecs = check_words(&Check::Uptime(UNCHECKED_HEALTHY));
    let note = "whatever is set, ECS gives a task that long before it replaces the next";
    row("rollout", check_words(check), ecs, note)
}

fn check_words(check: &Check) -> String {
    match check {
        Check::Tcp(port) => format!("tcp on {port}"),
        Check::Http { port, path } => format!("http {path} on {port}"),
        Check::Uptime(time) => format!("has run for {}s", time.0),
    }
}

/// A load balancer lets go of a task before the notice of its end is over.
fn drain_row(process: &Process) -> Option<Row> {
    let wanted = process.spec.lifecycle.drain_timeout;
    (wanted >= SPOT_NOTICE).then(|| {
        let note = "what takes longer would be cut off at the end of a spot instance's notice";
        row("drain_timeout", format!("{}s", wanted.0), format!("below {}s", SPOT_NOTICE.0), note)
    })
}

fn stop_row(process: &Process) -> Option<Row> {
    let wanted = process.spec.lifecycle.stop_timeout.0;
    let nearest = wanted.clamp(*STOP_TIMEOUT.start(), *STOP_TIMEOUT.end());
    let note = format!("Fargate takes {} to {} seconds and refuses others", STOP_TIMEOUT.start(), STOP_TIMEOUT.end());
    (wanted != nearest).then(|| row("stop_timeout", format!("{wanted}s"), format!("{nearest}s"), note))
}

fn inside_row() -> Row {
    let note = "`aws ecs execute-command` and CloudWatch stand in for them; `tapit logs` is the same on either";
    row("exec, top", "both", "neither", note)
}

fn confinement_rows(process: &Process) -> Vec<Row> {
    let confinement = &process.spec.confinement;
    let mut rows = Vec::new();
    if !confinement.userns {
        let note = "how tasks are kept apart is AWS's to choose; userns=false is refused there";
        rows.push(row("userns", "false", "true", note));
    }
    let kept: BTreeSet<Capability> = confinement.cap_add.iter().copied().filter(|one| can_add(*one)).collect();
    if kept != confinement.cap_add {
        let ecs = if kept.is_empty() { "none".to_owned() } else { Capability::list(&kept) };
        rows.push(row(
            "cap_add",
            Capability::list(&confinement.cap_add),
            ecs,
            "Fargate adds SYS_PTRACE alone and refuses others",
        ));
    }
    rows
}
