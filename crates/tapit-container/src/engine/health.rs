//! Checks an instance for as long as it lives: often until it is healthy, then now and then, quickly again when in doubt.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tapit_model::{Check, InstanceId, Port, ProcessKey, Reason, ReasonCode};
use tapit_plan::host::Phase;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::clock;
use super::shared::Shared;

/// Until an instance is healthy: the first checks follow each other closely, since most servers listen within a moment,
/// and each one that fails doubles the pause.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Between the checks of a healthy instance.
const PAUSE: Duration = Duration::from_secs(5);
/// After a failed check of a healthy instance.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);
/// One check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Failed checks in a row that make a healthy instance unhealthy.
const FAILURES: u32 = 3;

/// Before the last failure of an instance that is still starting.
pub const NOT_YET: &str = "not healthy yet: ";

/// Checks in a task of its own that ends with the instance's phase.
pub fn spawn(shared: &Arc<Shared>, key: &ProcessKey, id: &InstanceId) {
    let tasks = Arc::clone(shared);
    let (shared, key, id) = (Arc::clone(shared), key.clone(), id.clone());
    tasks.tasks.spawn(async move {
        let mut failures = 0;
        let mut pause = FIRST_PAUSE;
        while let Some((phase, check, ip)) = subject(&shared, &key, &id) {
            let result = perform(&check, ip).await;
            pause = match (result, phase) {
                (Ok(()), _) => {
                    failures = 0;
                    passed(&shared, &key, &id);
                    PAUSE
                }
                (Err(text), Phase::Starting { .. }) => {
                    note(&shared, &key, &id, text);
                    (pause * 2).min(LONGEST_FIRST_PAUSE)
                }
                (Err(text), _) => {
                    failures += 1;
                    if failures >= FAILURES {
                        doubted(&shared, &key, &id, text);
                    }
                    DOUBT_PAUSE
                }
            };
            sleep(pause).await;
        }
    });
}

/// What to check, as long as the instance is one to check.
fn subject(shared: &Shared, key: &ProcessKey, id: &InstanceId) -> Option<(Phase, Check, Ipv4Addr)> {
    let mut state = shared.state();
    if state.closing {
        return None;
    }
    let instance = state.instance_mut(key, id)?;
    match instance.life.phase {
        Phase::Starting { .. } | Phase::Healthy { .. } | Phase::Unhealthy { .. } => {
            Some((instance.life.phase, instance.life.check.clone(), instance.ip?))
        }
        Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Stopped { .. } => None,
    }
}

fn passed(shared: &Shared, key: &ProcessKey, id: &InstanceId) {
    let unchanged = shared.state().instance_mut(key, id).is_none_or(|i| matches!(i.life.phase, Phase::Healthy { .. }));
    if unchanged {
        return;
    }
    let since = clock::moment();
    shared.update(key, id, |instance| {
        if matches!(instance.life.phase, Phase::Starting { .. } | Phase::Unhealthy { .. }) {
            instance.life.phase = Phase::Healthy { since };
            instance.life.reason = None;
            instance.life.healthy_since = Some(since);
            instance.life.healthy_at.get_or_insert(clock::timestamp());
        }
    });
}

/// Keeps the last failure of a starting instance as its reason, without waking anybody for it.
fn note(shared: &Shared, key: &ProcessKey, id: &InstanceId, text: String) {
    if let Some(instance) = shared.state().instance_mut(key, id)
        && matches!(instance.life.phase, Phase::Starting { .. })
    {
        instance.life.reason = Some(Reason { code: ReasonCode::Starting, text: format!("{NOT_YET}{text}") });
    }
}

fn doubted(shared: &Shared, key: &ProcessKey, id: &InstanceId, text: String) {
    let since = clock::moment();
    shared.update(key, id, |instance| {
        if matches!(instance.life.phase, Phase::Healthy { .. }) {
            instance.life.phase = Phase::Unhealthy { since };
            let text = format!("{FAILURES} health checks in a row failed: {text}");
            instance.life.reason = Some(Reason { code: ReasonCode::Unhealthy, text });
        }
    });
}

/// One check. The error says what was wrong.
async fn perform(check: &Check, ip: Ipv4Addr) -> Result<(), String> {
    match check {
        Check::Tcp(port) => timeout(CHECK_TIMEOUT, connect(ip, *port))
            .await
            .map_err(|_| late(ip, *port, "accept a connection"))?
            .map(drop),
        Check::Http { port, path } => {
            timeout(CHECK_TIMEOUT, get(ip, *port, path)).await.map_err(|_| late(ip, *port, "answer"))?
        }
        Check::Uptime(seconds) => {
            sleep(Duration::from_secs(seconds.0)).await;
            Ok(())
        }
    }
}

fn late(ip: Ipv4Addr, port: Port, act: &str) -> String {
    format!("{ip}:{port} did not {act} within {} s", CHECK_TIMEOUT.as_secs())
}

async fn connect(ip: Ipv4Addr, port: Port) -> Result<TcpStream, String> {
    let addr = SocketAddr::from((ip, port.get()));
    TcpStream::connect(addr).await.map_err(|e| format!("nothing accepts connections on port {port} ({e})"))
}

async fn get(ip: Ipv4Addr, port: Port, path: &str) -> Result<(), String> {
    let stream = connect(ip, port).await?;
    let failed = |e: &dyn std::fmt::Display| format!("GET {path} on port {port} failed: {e}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, format!("{ip}:{port}"))
        .header(hyper::header::USER_AGENT, "tapit-health")
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|e| failed(&e))?;
    // Driven here and not by a task of its own, so that both end together when the time is up.
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // The answer may have come with the end of the connection.
        _ = connection => answer.await,
    };
    let status = answer.map_err(|e| failed(&e))?.status();
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("GET {path} on port {port} answered {}", status.as_u16()))
    }
}
