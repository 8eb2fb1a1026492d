//! Interfaces, their addresses and routes: small verbs over the routing socket, without policy.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Subnet;
use super::rtnl::Rtnl;

/// A hardware address. Ours are locally administered and derived, so that a thing made again is known by the same one.
pub type Mac = [u8; 6];

/// What kind of interface it is, as far as this engine makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bridge,
    Veth,
    Other,
}

/// An interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub kind: Kind,
    /// The index of the bridge that it is a port of.
    pub controller: Option<u32>,
    pub up: bool,
    /// It is up, so is its other end, and the kernel has told all who depend on it, such as the bridge.
    pub operational: bool,
}

/// An IPv4 address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    pub link: u32,
    pub address: Ipv4Addr,
    pub subnet: Subnet,
}

/// Where packets for a subnet go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub subnet: Subnet,
    pub link: Option<u32>,
}

/// Both ends of a pair: one here, as a port of a bridge; the other born in a different network namespace.
pub struct Pair<'a> {
    pub name: &'a str,
    pub bridge: u32,
    pub peer: &'a str,
    pub peer_mac: Mac,
    pub peer_netns: BorrowedFd<'a>,
}

pub fn list(rtnl: &mut Rtnl) -> io::Result<Vec<Link>> {
    let answers = rtnl.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(answers.into_iter().filter_map(read_link).collect())
}

pub fn find(rtnl: &mut Rtnl, name: &str) -> io::Result<Option<Link>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    match rtnl.request(RouteNetlinkMessage::GetLink(message), 0) {
        Ok(answers) => Ok(answers.into_iter().find_map(read_link)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

pub fn create_bridge(rtnl: &mut Rtnl, name: &str, mac: Mac) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        // Left to itself, a bridge takes the lowest address of its ports and changes it as they come and go, which
        // makes the neighbour tables of all containers wrong at once.
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    rtnl.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
}

pub fn create_pair(rtnl: &mut Rtnl, pair: &Pair<'_>) -> io::Result<()> {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(pair.peer.to_owned()),
        LinkAttribute::Address(pair.peer_mac.to_vec()),
        LinkAttribute::NetNsFd(pair.peer_netns.as_raw_fd()),
    ];
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes = vec![
        LinkAttribute::IfName(pair.name.to_owned()),
        LinkAttribute::Controller(pair.bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    rtnl.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
}

pub fn set_up(rtnl: &mut Rtnl, link: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = link;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    rtnl.request(RouteNetlinkMessage::SetLink(message), 0).map(drop)
}

/// Deletes an interface, and with one end of a pair the other. Answers whether it was there.
pub fn delete(rtnl: &mut Rtnl, link: u32) -> io::Result<bool> {
    let mut message = LinkMessage::default();
    message.header.index = link;
    match rtnl.request(RouteNetlinkMessage::DelLink(message), 0) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

pub fn addresses(rtnl: &mut Rtnl) -> io::Result<Vec<Assigned>> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    let answers = rtnl.dump(RouteNetlinkMessage::GetAddress(message))?;
    Ok(answers.into_iter().flat_map(read_address).collect())
}

pub fn add_address(rtnl: &mut Rtnl, assigned: Assigned) -> io::Result<()> {
    let mut message = address_message(assigned);
    message.attributes.push(AddressAttribute::Broadcast(assigned.subnet.broadcast()));
    rtnl.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
}

pub fn remove_address(rtnl: &mut Rtnl, assigned: Assigned) -> io::Result<()> {
    rtnl.request(RouteNetlinkMessage::DelAddress(address_message(assigned)), 0).map(drop)
}

/// IPv4 routes of every table.
pub fn routes(rtnl: &mut Rtnl) -> io::Result<Vec<Route>> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    let answers = rtnl.dump(RouteNetlinkMessage::GetRoute(message))?;
    Ok(answers.into_iter().filter_map(read_route).collect())
}

pub fn add_default_route(rtnl: &mut Rtnl, gateway: Ipv4Addr) -> io::Result<()> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    rtnl.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
}

fn address_message(assigned: Assigned) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = assigned.subnet.prefix();
    message.header.index = assigned.link;
    let address = IpAddr::V4(assigned.address);
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    message
}

fn read_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let (mut name, mut kind, mut controller, mut operational) = (None, Kind::Other, None, false);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Controller(index) => controller = Some(index),
            LinkAttribute::OperState(state) => operational = state == State::Up,
            LinkAttribute::LinkInfo(infos) => kind = kind_of(&infos),
            _ => {}
        }
    }
    let up = message.header.flags.contains(LinkFlags::Up);
    Some(Link { index: message.header.index, name: name?, kind, controller, up, operational })
}

fn kind_of(infos: &[LinkInfo]) -> Kind {
    if infos.contains(&LinkInfo::Kind(InfoKind::Bridge)) {
        Kind::Bridge
    } else if infos.contains(&LinkInfo::Kind(InfoKind::Veth)) {
        Kind::Veth
    } else {
        Kind::Other
    }
}

/// A point-to-point interface has an address of its own and one of its peer; both count, the peer's with the prefix.
fn read_address(message: RouteNetlinkMessage) -> Vec<Assigned> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return Vec::new() };
    let (link, prefix) = (message.header.index, message.header.prefix_len);
    let assigned = |address, prefix| Assigned { link, address, subnet: Subnet::around(address, prefix) };
    let (mut own, mut peer) = (None, None);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => own = Some(address),
            AddressAttribute::Address(IpAddr::V4(address)) => peer = Some(address),
            _ => {}
        }
    }
    match (own, peer) {
        (Some(own), Some(peer)) if own != peer => vec![assigned(own, 32), assigned(peer, prefix)],
        (Some(one), _) | (None, Some(one)) => vec![assigned(one, prefix)],
        (None, None) => Vec::new(),
    }
}

fn read_route(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let prefix = message.header.destination_prefix_length;
    let (mut base, mut link) = (Ipv4Addr::UNSPECIFIED, None);
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => base = address,
            RouteAttribute::Oif(index) => link = Some(index),
            _ => {}
        }
    }
    Some(Route { subnet: Subnet::around(base, prefix), link })
}
