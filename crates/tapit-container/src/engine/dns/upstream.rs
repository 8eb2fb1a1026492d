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
    pub async fn ask(&self, question: &[u8], transport: Transport, own: impl Fn(Ipv4Addr) -> bool) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use domain::base::{MessageBuilder, Name, Rtype};

    use super::*;

    fn question() -> Vec<u8> {
        let mut question = MessageBuilder::new_vec().question();
        question.push(("example.com".parse::<Name<Vec<u8>>>().expect("a name"), Rtype::A)).expect("fits");
        question.header_mut().set_id(7);
        question.finish()
    }

    fn answer(code: Rcode, id: u16) -> Vec<u8> {
        let question = question();
        let question = Message::from_octets(&question).expect("a message");
        let mut answer = MessageBuilder::new_vec().start_answer(&question, code).expect("fits");
        answer.header_mut().set_id(id);
        answer.finish()
    }

    /// Listens on one loopback address with the port of the others, and answers everything so.
    async fn resolver(ip: &str, port: u16, answers: Vec<Vec<u8>>) -> (u16, tokio::task::AbortHandle) {
        let socket = UdpSocket::bind((ip, port)).await.expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer).await {
                for answer in &answers {
                    let _ = socket.send_to(answer, peer).await;
                }
            }
        });
        (port, task.abort_handle())
    }

    fn upstreams(dir: &tempfile::TempDir, text: &str, port: u16) -> Upstreams {
        let list = dir.path().join("resolv.conf");
        std::fs::write(&list, text).expect("writable");
        Upstreams::new(list, port)
    }

    #[test]
    fn resolvers_are_read_as_the_c_library_does() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 127.0.0.53\n nameserver\t10.0.0.2 \nnameserver\n\
                    nameserver fe80::1%eth0\nnameserver ::1\nnameserver 9.9.9.9\n";
        let read: Vec<_> = parse(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(read, ["127.0.0.53", "10.0.0.2", "::1"]);
        assert_eq!(parse(""), [] as [IpAddr; 0]);
    }

    #[tokio::test]
    async fn the_next_resolver_is_asked_when_one_cannot_tell() {
        let dir = tempfile::tempdir().expect("a directory");
        let (port, one) = resolver("127.0.0.1", 0, vec![answer(Rcode::SERVFAIL, 7)]).await;
        let (_, two) = resolver("127.0.0.2", port, vec![answer(Rcode::NXDOMAIN, 7)]).await;
        let upstreams = upstreams(&dir, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n", port);
        let told = upstreams.ask(&question(), Transport::Udp, |_| false).await;
        assert_eq!(told, Some(answer(Rcode::NXDOMAIN, 7)));
        two.abort();
        one.abort();
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_not_heard() {
        let dir = tempfile::tempdir().expect("a directory");
        let answers = vec![b"nonsense".to_vec(), answer(Rcode::NXDOMAIN, 8), question(), answer(Rcode::NOERROR, 7)];
        let (port, task) = resolver("127.0.0.1", 0, answers).await;
        let upstreams = upstreams(&dir, "nameserver 127.0.0.1\n", port);
        let told = upstreams.ask(&question(), Transport::Udp, |_| false).await;
        assert_eq!(told, Some(answer(Rcode::NOERROR, 7)));
        task.abort();
    }

    #[tokio::test]
    async fn a_resolver_of_our_own_and_one_that_is_gone_tell_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (port, task) = resolver("127.0.0.1", 0, vec![answer(Rcode::NOERROR, 7)]).await;
        let upstreams = upstreams(&dir, "nameserver 127.0.0.1\n", port);
        assert_eq!(upstreams.ask(&question(), Transport::Udp, |_| true).await, None);
        assert!(upstreams.ask(&question(), Transport::Udp, |_| false).await.is_some());
        std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.9\n# changed\n").expect("writable");
        assert_eq!(upstreams.ask(&question(), Transport::Udp, |_| false).await, None);
        task.abort();
    }
}
