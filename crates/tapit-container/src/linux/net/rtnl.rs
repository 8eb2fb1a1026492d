//! Requests to the kernel's routing socket, which holds interfaces, addresses and routes.
//!
//! It numbers requests and translates between messages and bytes; which requests to make is for the other files.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;

use super::wire::Wire;

/// A table that changes while it is listed is listed again, this often at most.
const DUMPS_MAX: usize = 20;

pub struct Rtnl {
    wire: Wire,
    sequence: u32,
}

impl Rtnl {
    /// Speaks with the network namespace that this thread is in now.
    pub fn open() -> io::Result<Self> {
        Ok(Self { wire: Wire::open(NETLINK_ROUTE)?, sequence: 0 })
    }

    /// Makes one request and returns what the kernel sent besides its consent.
    pub fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let answers = self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        Ok(decode(&answers))
    }

    /// Lists a whole table.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..DUMPS_MAX {
            match self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP) {
                Ok(answers) => return Ok(decode(&answers)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("the table changes faster than it can be listed"))
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.wire.exchange(&bytes, self.sequence)
    }
}

/// A message that cannot be read is left out: an interface of some kind that the decoder does not know, made by somebody
/// else, must not keep the server from starting.
fn decode(answers: &[Vec<u8>]) -> Vec<RouteNetlinkMessage> {
    let read = |answer: &Vec<u8>| NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer).ok();
    let inner = |message: NetlinkMessage<RouteNetlinkMessage>| match message.payload {
        NetlinkPayload::InnerMessage(inner) => Some(inner),
        _ => None,
    };
    answers.iter().filter_map(read).filter_map(inner).collect()
}
