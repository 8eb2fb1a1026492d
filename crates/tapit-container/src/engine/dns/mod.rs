//! Answers the names of processes at the gateway of each app, over UDP and TCP, and hands every other question on to the
//! resolvers of the host.
//!
//! `apps` begins it when an app's network is made. The server's own process answers: while no server runs there are no
//! names. What is answered is decided in `answer`, from the state of the moment; `upstream` asks others. Who asks is told
//! by where: the rules of the network let nobody but an app's own instances and this host reach its gateway.

mod answer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod tcp;
mod upstream;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tapit_model::{AppName, Presence, ProcessKey, ProcessName};
use tapit_plan::host::Phase;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::answer::{Asked, Directory, Reaction};
use self::upstream::Transport;
pub use self::upstream::Upstreams;
use super::shared::Shared;
use crate::linux::net::Subnet;

const PORT: u16 = 53;
/// A question is some hundred bytes; signed ones are longer.
const QUESTION_MAX: usize = 4096;
/// Questions of one app that wait for a resolver of the host; one more fails at once. The others' share is left to them.
const FORWARDS_MAX: usize = 64;
/// After an error of a socket, so that one that comes again and again does not take a cpu.
const PAUSE: Duration = Duration::from_millis(100);

/// Names are answered for as long as it is there.
pub struct Listening {
    _stop: oneshot::Sender<Infallible>,
}

#[derive(Debug, thiserror::Error)]
#[error("listening on {address}; something else may answer names on every address of this host")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// Begins to answer. To be called where tasks can be spawned.
pub fn listen(shared: &Arc<Shared>, app: &AppName, subnet: Subnet) -> Result<Listening, ListenError> {
    let address = SocketAddr::from((subnet.nth(1).unwrap_or(subnet.base()), PORT));
    let (udp, tcp) = bind(address).map_err(|source| ListenError { address, source })?;
    let desk = Arc::new(Desk { shared: Arc::clone(shared), app: app.clone(), subnet, turn: AtomicUsize::new(0) });
    let udp = Arc::new(udp);
    let (stop, stopped) = oneshot::channel();
    shared.tasks.spawn(async move {
        // Both end with this task; the sender is only ever dropped.
        tokio::select! {
            _ = stopped => {}
            () = serve(&desk, &udp) => {}
            () = tcp::serve(&desk, tcp) => {}
        }
    });
    Ok(Listening { _stop: stop })
}

fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let (udp, tcp) = (std::net::UdpSocket::bind(address)?, std::net::TcpListener::bind(address)?);
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?))
}

/// Where the questions of one app are answered.
struct Desk {
    shared: Arc<Shared>,
    app: AppName,
    subnet: Subnet,
    /// Grows with every answer, so that the order of addresses changes.
    turn: AtomicUsize,
}

impl Desk {
    fn knows(&self, peer: SocketAddr) -> bool {
        match peer.ip() {
            IpAddr::V4(ip) => self.subnet.contains(ip),
            IpAddr::V6(_) => false,
        }
    }

    fn react(&self, question: &[u8]) -> Reaction {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        answer::react(question, &Asked { app: &self.app, subnet: self.subnet, turn }, self)
    }

    async fn forward(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let own = |address: Ipv4Addr| self.shared.apps.holds(address);
        let answer = self.shared.apps.upstreams.ask(question, transport, own).await;
        answer.or_else(|| answer::failure(question))
    }
}

impl Directory for Desk {
    fn healthy(&self, process: &ProcessName) -> Option<Vec<Ipv4Addr>> {
        let state = self.shared.state();
        let process = state.processes.get(&ProcessKey::new(&self.app, process))?;
        let presence = process.target.as_ref().map(|target| &target.presence);
        let healthy = process.instances.values().filter(|one| matches!(one.life.phase, Phase::Healthy { .. }));
        matches!(presence, Some(Presence::Present(_))).then(|| healthy.filter_map(|one| one.ip).collect())
    }

    fn owner(&self, address: Ipv4Addr) -> Option<ProcessName> {
        let state = self.shared.state();
        let own = state.processes.iter().filter(|(key, _)| key.app == self.app);
        let mut live = own.flat_map(|(key, process)| {
            process.instances.values().filter(|one| !one.is_stopped()).map(move |one| (key, one.ip))
        });
        live.find(|(_, ip)| *ip == Some(address)).map(|(key, _)| key.process.clone())
    }
}

async fn serve(desk: &Arc<Desk>, socket: &Arc<UdpSocket>) {
    // End with this future, so that nothing is asked for an app that is gone.
    let mut forwards = JoinSet::new();
    let mut buffer = vec![0; QUESTION_MAX];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = forwards.join_next() => continue,
        };
        let (len, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(app = %desk.app, %error, "receiving a question");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let question = &buffer[..len];
        if !desk.knows(peer) {
            continue;
        }
        match desk.react(question) {
            Reaction::Ignore => {}
            Reaction::Answer(answer) => say(socket, &answer, peer).await,
            Reaction::Forward if forwards.len() >= FORWARDS_MAX => {
                if let Some(failure) = answer::failure(question) {
                    say(socket, &failure, peer).await;
                }
            }
            Reaction::Forward => {
                let (desk, socket, question) = (Arc::clone(desk), Arc::clone(socket), question.to_vec());
                forwards.spawn(async move {
                    if let Some(answer) = desk.forward(&question, Transport::Udp).await {
                        say(&socket, &answer, peer).await;
                    }
                });
            }
        }
    }
}

/// One that does not arrive is asked for again.
async fn say(socket: &UdpSocket, answer: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(answer, peer).await {
        tracing::debug!(%peer, %error, "answering a question");
    }
}
