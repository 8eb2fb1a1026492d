//! One netlink socket and the exchange of a request and its answers, for every netlink family alike.
//!
//! It knows the 16 bytes of the message header and the end of an answer; what stands in between is for `rtnl.rs` and
//! `nft.rs`. It is synchronous on purpose: the kernel answers within the send, and the shim has no async runtime.

use std::io;

use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{ReceiveTimeout, SndBufForce};
use nix::sys::time::{TimeVal, TimeValLike};

/// The kernel answers at once. The bound is for a kernel that does not know the request and stays silent.
const SILENCE_SECONDS: i64 = 10;
/// More datagrams than any host's tables fill; a dump that never ends must not hold the server.
const DATAGRAMS_MAX: usize = 100_000;
pub const HEADER_LEN: usize = 16;
/// What a socket sends at once as it comes; a transaction for thousands of apps is longer.
const SEND_BUFFER: usize = 100_000;

pub struct Wire {
    socket: Socket,
}

impl Wire {
    /// Opens a socket in the network namespace that this thread is in; it stays there whatever the thread does later.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(SILENCE_SECONDS))?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sends a request of one or several messages and reads until the one numbered `last` is acknowledged or a dump is
    /// done. Returns the messages that carry data, header included. The first refusal is the error. A dump that changed while it was read is `Interrupted`.
    pub fn exchange(&self, request: &[u8], last: u32) -> io::Result<Vec<Vec<u8>>> {
        if request.len() > SEND_BUFFER {
            setsockopt(&self.socket, SndBufForce, &(2 * request.len()))?;
        }
        self.socket.send(request, 0)?;
        let mut messages = Vec::new();
        let mut torn = false;
        for _ in 0..DATAGRAMS_MAX {
            let datagram = self.receive()?;
            let mut rest = datagram.as_slice();
            while let Some(header) = Header::read(rest)? {
                let (message, after) = rest.split_at(header.len);
                rest = &after[header.padding.min(after.len())..];
                torn |= header.flags & NLM_F_DUMP_INTR != 0;
                match header.kind {
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(io::Error::other("the kernel lost messages of its answer")),
                    NLMSG_ERROR | NLMSG_DONE => {
                        status(message)?;
                        if header.sequence == last {
                            return if torn { Err(io::ErrorKind::Interrupted.into()) } else { Ok(messages) };
                        }
                    }
                    _ => messages.push(message.to_vec()),
                }
            }
        }
        Err(io::Error::other("the kernel's answer does not end"))
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        loop {
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => return Ok(datagram),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }
}

struct Header {
    len: usize,
    /// To the next multiple of four, where the next message begins.
    padding: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
}

impl Header {
    /// `None` at the end of the datagram.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *head;
        let len = u32::from_ne_bytes([a, b, c, d]) as usize;
        if len < HEADER_LEN || len > bytes.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a netlink message of impossible length"));
        }
        let (kind, flags) = (u16::from_ne_bytes([e, f]), u16::from_ne_bytes([g, h]));
        let padding = len.next_multiple_of(4) - len;
        Ok(Some(Self { len, padding, kind, flags, sequence: u32::from_ne_bytes([i, j, k, l]) }))
    }
}

/// The result in an error or done message: a negative errno, or zero for an acknowledgement.
fn status(message: &[u8]) -> io::Result<()> {
    match message[HEADER_LEN..].first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        None | Some(0..) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}
