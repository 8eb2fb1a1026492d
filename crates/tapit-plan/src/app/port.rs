//! The port of a process and how its health is checked, once its image is known.

use std::num::NonZeroU16;

use tapit_model::{Check, Port, PortSetting, ProcessName, Template};

/// What a process listens on when neither `port=` nor its image says.
pub(super) const DEFAULT_PORT: Port = NonZeroU16::new(8080).expect("not zero");

/// `port=` when given, else the one TCP port that the image exposes, else 8080. Two exposed ports say nothing about
/// which one takes the requests. `None`: the process listens nowhere (`port=none`).
pub fn resolve_port(setting: PortSetting, exposed: &[Port]) -> Option<Port> {
    match (setting, exposed) {
        (PortSetting::None, _) => None,
        (PortSetting::Port(port), _) => Some(port),
        (PortSetting::Auto, [port]) => Some(*port),
        (PortSetting::Auto, _) => Some(DEFAULT_PORT),
    }
}

/// How an instance proves its health.
///
/// - `port=none`: it has run for `min_healthy_time`.
/// - `health_path`: an HTTP answer of 2xx or 3xx on its port.
/// - `port=N`, or the public process: its port accepts a TCP connection.
/// - Any other process with no word about its port: TCP on the one port that its image exposes, unless it overrides
///   the command. A worker often shares the web image and listens nowhere; waiting for its port would fail it for
///   ever, so it only has to keep running.
pub fn health_check(process: &ProcessName, template: &Template, exposed: &[Port]) -> Check {
    let uptime = Check::Uptime(template.health.min_healthy);
    let Some(port) = resolve_port(template.port, exposed) else { return uptime };
    if let Some(path) = &template.health.path {
        return Check::Http { port, path: path.clone() };
    }
    let listens = match template.port {
        PortSetting::None => false,
        PortSetting::Port(_) => true,
        PortSetting::Auto => process.is_public() || (exposed.len() == 1 && template.command.is_none()),
    };
    if listens { Check::Tcp(port) } else { uptime }
}
