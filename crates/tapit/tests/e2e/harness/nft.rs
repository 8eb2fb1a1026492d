//! Which nftables tables there are, asked of the kernel: no program for it needs to be installed.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::os::fd::AsRawFd;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = 10 << 8 | 1;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
const DONE: u16 = 3;
const ERROR: u16 = 2;

/// Whether a table's name holds this text.
pub fn has_table_with(text: &str) -> bool {
    tables().is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// The kernel's answer as it comes; names stand in it in plain text.
fn tables() -> Result<Vec<u8>, Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let mut request = Vec::new();
    request.extend(20u32.to_ne_bytes());
    request.extend(GET_TABLE.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([0; 4]);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let (mut answer, mut part) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let read = recv(socket.as_raw_fd(), &mut part, MsgFlags::empty())?;
        answer.extend(&part[..read]);
        let kind = part.get(4..6).map_or(ERROR, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
        if read == 0 || kind == DONE || kind == ERROR || ends_dump(&part[..read]) {
            return Ok(answer);
        }
    }
}

/// Whether one of the messages in a datagram is the last one of the dump.
fn ends_dump(mut datagram: &[u8]) -> bool {
    while let Some(head) = datagram.get(..6) {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if u16::from_ne_bytes([head[4], head[5]]) == DONE {
            return true;
        }
        match datagram.get(length.max(16).next_multiple_of(4)..) {
            Some(rest) => datagram = rest,
            None => return false,
        }
    }
    false
}
