//! Asks the resolvers that the host itself uses.
//!
//! Questions and answers pass as they are. The host's list is read again when it changes. A resolver that is an address
//! of an app's network is never asked, so that no question goes round in circles.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use domain::base::Message;
use domain::base::iana::Rcode;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::tcp;

/// For one resolver to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// As many as the C library asks.
const RESOLVERS_MAX: usize = 3;
/// Of all apps together; each holds a socket.
const IN_FLIGHT_MAX: usize = 256;
/// Longer answers come over TCP.
const DATAGRAM_MAX: usize = 16 * 1024;
const ANSWER_MAX: usize = u16::MAX as usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

pub struct Upstreams {
    list: PathBuf,
    port: u16,
    read: Mutex<(Option<Stamp>, Vec<IpAddr>)>,
    in_flight: Semaphore,
}

/// Tells one state of the list from another.
type Stamp = (SystemTime, u64);

impl Upstreams {
    pub fn of_the_host() -> Self {
        Self::new(PathBuf::from("/etc/resolv.conf"), 53)
    }

    fn new(list: PathBuf, port: u16) -> Self {
        Self { list, port, read: Mutex::default(), in_flight: Semaphore::new(IN_FLIGHT_MAX) }
    }

    /// The first good answer, else the last one; `None` when no resolver answers, or too many questions are under way.
    pub async fn ask(
        &self,
        question: &[u8],
        transport: Transport,
        own: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Vec<u8>> {
        let _permit = self.in_flight.try_acquire().ok()?;
        let mut last = None;
        for resolver in self.resolvers().into_iter().filter(|ip| !matches!(ip, IpAddr::V4(ip) if own(*ip))) {
            let server = SocketAddr::from((resolver, self.port));
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(server, question).await,
                    Transport::Tcp => ask_tcp(server, question).await,
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) if is_of_use(&answer) => return Some(answer),
                Ok(Ok(answer)) => last = Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "asking a resolver"),
                Err(_) => tracing::debug!(%server, "a resolver does not answer"),
            }
        }
        last
    }

    fn resolvers(&self) -> Vec<IpAddr> {
        let stamp = std::fs::metadata(&self.list).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != stamp || stamp.is_none() {
            *read = (stamp, parse(&std::fs::read_to_string(&self.list).unwrap_or_default()));
        }
        read.1.clone()
    }
}

/// The resolvers in a `resolv.conf`. One that needs an interface to be named is left out.
fn parse(text: &str) -> Vec<IpAddr> {
    let resolver = |line: &str| {
        let mut words = line.split_whitespace();
        if words.next()? == "nameserver" { words.next()?.parse().ok() } else { None }
    };
    text.lines().filter_map(resolver).take(RESOLVERS_MAX).collect()
}

async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A port of its own for each question, and nobody but the resolver is heard there.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let len = socket.recv(&mut buffer).await?;
        if len < DATAGRAM_MAX && is_answer(&buffer[..len], question) {
            buffer.truncate(len);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    tcp::write(&mut stream, question).await?;
    let answer = tcp::read(&mut stream, ANSWER_MAX).await?;
    if is_answer(&answer, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// To the very question: the same number, and the same name where it is repeated, as some refusals do not.
fn is_answer(answer: &[u8], question: &[u8]) -> bool {
    let (Ok(answer), Ok(question)) = (Message::from_octets(answer), Message::from_octets(question)) else {
        return false;
    };
    let same = match (answer.sole_question(), question.sole_question()) {
        (Ok(answered), Ok(asked)) => answered == asked,
        (Err(_), _) => answer.header().rcode() != Rcode::NOERROR && answer.header_counts().qdcount() == 0,
        (Ok(_), Err(_)) => false,
    };
    answer.header().qr() && answer.header().id() == question.header().id() && same
}

/// Not a confession that the resolver cannot tell.
fn is_of_use(answer: &[u8]) -> bool {
    let code = Message::from_octets(answer).map(|answer| answer.header().rcode());
    code.is_ok_and(|code| !matches!(code, Rcode::SERVFAIL | Rcode::REFUSED | Rcode::NOTIMP))
}
