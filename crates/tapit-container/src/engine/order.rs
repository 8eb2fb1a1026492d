//! Puts together the complete order for one container: what the image says, what the user set, what tapit adds.

use std::net::Ipv4Addr;

use tapit_model::{AppName, Formation, InstanceKey, InstanceKind, ProcessKey, ProcessName};
use tapit_plan::host::StartOrder;

use super::apps::Share;
use super::shared::Shared;
use crate::images::ImageConfig;
use crate::instance::{EtcFiles, LogBounds, Order, StopSignal};
use crate::linux::net::Attach;

/// Processes and threads that one container may have.
const PIDS: u64 = 1024;

/// A spot instance yields cpu to demand ones and goes first when the host runs out of memory.
const WEIGHT_DEMAND: u64 = 100;
const WEIGHT_SPOT: u64 = 10;
const OOM_DEMAND: i32 = 0;
const OOM_SPOT: i32 = 500;

const HOSTNAME_MAX: usize = 64;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub struct Parts<'a> {
    pub start: &'a StartOrder,
    pub formation: &'a Formation,
    pub image: &'a ImageConfig,
    pub ip: Ipv4Addr,
}

pub fn order(shared: &Shared, key: &ProcessKey, parts: &Parts) -> Result<Order, String> {
    let Parts { start, formation, image, ip } = parts;
    let spot = start.kind == InstanceKind::Spot;
    let stop_signal = image.stop_signal.as_deref().map(StopSignal::parse).transpose().map_err(|e| e.to_string())?;
    let hostname = hostname(&key.process, start.serial);
    let Share { attach, ids } = shared.apps.share(&key.app, *ip).ok_or("the network of its app is gone")?;
    Ok(Order {
        key: InstanceKey { app: key.app.clone(), id: start.id.clone() },
        process: key.process.clone(),
        kind: start.kind,
        generation: start.generation,
        slot: start.slot,
        serial: start.serial,
        restarts: start.restarts,
        layers: image.layers.clone(),
        argv: argv(formation, image)?,
        env: environment(key, parts),
        cwd: image.working_dir.clone(),
        user: image.user.clone(),
        ids: (shared.maps_ids && formation.confinement.userns).then_some(ids),
        cap_add: formation.confinement.cap_add.clone(),
        etc: etc(&hostname, &key.app, &attach),
        hostname,
        size: start.size,
        pids: PIDS,
        cpu_weight: if spot { WEIGHT_SPOT } else { WEIGHT_DEMAND },
        oom_score_adj: if spot { OOM_SPOT } else { OOM_DEMAND },
        stop_signal: stop_signal.unwrap_or(StopSignal::TERM),
        network: Some(attach),
        cgroup: shared.cgroup.leaf(&format!("{}.{}", key.app, start.id)).map_err(|e| e.to_string())?,
        log: LogBounds::default(),
    })
}

/// `PROCESS-SERIAL`, within the 64 bytes that the kernel keeps of a host name.
fn hostname(process: &ProcessName, serial: u64) -> String {
    let serial = serial.to_string();
    let room = HOSTNAME_MAX - serial.len() - 1;
    format!("{}-{serial}", &process.as_str()[..process.as_str().len().min(room)])
}

/// Names for the container: the others are answered at the gateway of its app's network.
fn etc(hostname: &str, app: &AppName, attach: &Attach) -> EtcFiles {
    let Attach { ip, gateway, .. } = attach;
    EtcFiles {
        hosts: format!("127.0.0.1 localhost\n::1 localhost\n{ip} {hostname}\n"),
        resolv_conf: format!("nameserver {gateway}\nsearch {app}.internal\noptions ndots:1\n"),
        hostname: format!("{hostname}\n"),
    }
}

/// The command replaces the image's CMD; the ENTRYPOINT stays.
fn argv(formation: &Formation, image: &ImageConfig) -> Result<Vec<String>, String> {
    let command = formation.command.as_ref().map_or(image.cmd.as_slice(), |command| command.argv());
    let argv: Vec<_> = image.entrypoint.iter().chain(command).cloned().collect();
    if argv.is_empty() {
        return Err("the image names no command; give one with command=".to_owned());
    }
    Ok(argv)
}

/// Later ones win: the image's, the app's, ours.
fn environment(key: &ProcessKey, parts: &Parts) -> Vec<(String, String)> {
    let Parts { start, formation, image, .. } = parts;
    let own = [
        ("PORT", formation.port.to_string()),
        ("TAPIT_APP", key.app.to_string()),
        ("TAPIT_PROCESS", key.process.to_string()),
        ("TAPIT_INSTANCE", start.id.to_string()),
        ("TAPIT_INSTANCE_KIND", start.kind.as_str().to_owned()),
        ("TAPIT_VERSION", formation.version.clone()),
    ];
    let mut variables = std::collections::BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    variables
        .extend(image.env.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
    variables.extend(formation.variables.iter().cloned());
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    variables.into_iter().collect()
}
