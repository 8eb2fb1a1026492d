//! Gives a container its network interface, between the creation of its namespace and the start of its program.
//!
//! The shim calls it. The thread is inside the container's namespace only while it opens a socket there; everything else
//! is said through that socket, from outside.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};

use super::host::{address_mac, find};
use super::links::{self, Assigned, Pair};
use super::rtnl::Rtnl;
use super::{NetError, Subnet};

/// The name of the interface inside.
const INSIDE: &str = "eth0";
const LOOPBACK: &str = "lo";
/// The kernel's own delay is a second at most.
const OPERATIONAL_TRIES: u32 = 5_000;
const OPERATIONAL_PAUSE: Duration = Duration::from_millis(1);

/// What an instance's network is to be. Part of the order that the server gives to the shim; made by `AppNet::attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub bridge: String,
    /// The name of the interface on the host.
    pub veth: String,
    pub ip: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
}

/// Attaches the network namespace of a process to the bridge: `lo` and `eth0` up, an address, a default route.
///
/// On failure the interface pair is removed again, and with it all that was set on it; the first error is returned. After
/// `NetError::LeaveNetns` the calling thread is in the wrong namespace and must end.
pub fn plug(container_pid: i32, attach: &Attach) -> Result<(), NetError> {
    let netns = Netns::of(container_pid)?;
    let mut host = Rtnl::open().map_err(|source| NetError::Open { source })?;
    let mut inside = netns.open_socket()?;
    let bridge = index(&mut host, &attach.bridge)?;
    // A namespace of its own has the loopback down, which few programs expect. It goes with the namespace, so there is
    // nothing to undo.
    set_up(&mut inside, LOOPBACK)?;

    let pair = Pair {
        name: &attach.veth,
        bridge,
        peer: INSIDE,
        peer_mac: address_mac(attach.ip),
        peer_netns: netns.file.as_fd(),
    };
    links::create_pair(&mut host, &pair)
        .map_err(|source| NetError::CreateVeth { veth: attach.veth.clone(), source })?;
    let mut finish = |host: &mut Rtnl| {
        configure(&mut inside, attach)?;
        wait_until_operational(host, &attach.veth)?;
        wait_until_operational(host, &attach.bridge)
    };
    finish(&mut host).inspect_err(|_| {
        // The caller must hear why it failed, not that the clean-up did too; a leftover is collected at start-up.
        if let Ok(veth) = index(&mut host, &attach.veth) {
            let _ = links::delete(&mut host, veth);
        }
    })
}

fn configure(inside: &mut Rtnl, attach: &Attach) -> Result<(), NetError> {
    let link = index(inside, INSIDE)?;
    let subnet = Subnet::around(attach.ip, attach.prefix);
    links::add_address(inside, Assigned { link, address: attach.ip, subnet })
        .map_err(|source| NetError::AddAddress { link: INSIDE.to_owned(), address: attach.ip, subnet, source })?;
    set_up(inside, INSIDE)?;
    links::add_default_route(inside, attach.gateway)
        .map_err(|source| NetError::AddRoute { gateway: attach.gateway, source })
}

/// The kernel acts on a new carrier from a work queue, mostly at once but sometimes a second later: that of the port,
/// and that of the bridge, which has one only with a port. Until then both drop packets, and the first connection to
/// the container would wait for its second attempt.
fn wait_until_operational(host: &mut Rtnl, link: &str) -> Result<(), NetError> {
    for _ in 0..OPERATIONAL_TRIES {
        if find(host, link)?.operational {
            return Ok(());
        }
        std::thread::sleep(OPERATIONAL_PAUSE);
    }
    let seconds = u64::from(OPERATIONAL_TRIES) * OPERATIONAL_PAUSE.as_millis() as u64 / 1_000;
    Err(NetError::NotOperational { link: link.to_owned(), seconds })
}

fn index(rtnl: &mut Rtnl, name: &str) -> Result<u32, NetError> {
    find(rtnl, name).map(|link| link.index)
}

fn set_up(rtnl: &mut Rtnl, name: &str) -> Result<(), NetError> {
    let link = index(rtnl, name)?;
    links::set_up(rtnl, link).map_err(|source| NetError::SetUp { link: name.to_owned(), source })
}

/// A network namespace held open: it stays the same one even when the process ends and its id is given to another.
struct Netns {
    file: File,
    own: File,
    path: PathBuf,
}

impl Netns {
    fn of(pid: i32) -> Result<Self, NetError> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let own_path = PathBuf::from("/proc/thread-self/ns/net");
        let (file, identity) = open(&path)?;
        let (own, own_identity) = open(&own_path)?;
        if identity == own_identity {
            return Err(NetError::OwnNetns { path });
        }
        Ok(Self { file, own, path })
    }

    fn open_socket(&self) -> Result<Rtnl, NetError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .map_err(|source| NetError::EnterNetns { path: self.path.clone(), source })?;
        let socket = Rtnl::open();
        setns(&self.own, CloneFlags::CLONE_NEWNET)
            .map_err(|source| NetError::LeaveNetns { path: self.path.clone(), source })?;
        socket.map_err(|source| NetError::Open { source })
    }
}

/// The open file and what tells the namespace from every other.
fn open(path: &std::path::Path) -> Result<(File, (u64, u64)), NetError> {
    let failed = |source| NetError::OpenNetns { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    Ok((file, (metadata.dev(), metadata.ino())))
}
