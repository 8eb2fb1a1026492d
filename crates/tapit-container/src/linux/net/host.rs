//! The networks of one server on the host, one per app: made, found again, removed.
//!
//! Every step looks first and then does what is missing, so the same call serves the first start, every later one and
//! the repair after somebody deleted a part. Names are derived from the tag of the data directory, so that servers of
//! different directories live side by side.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::links::{self, Assigned, Kind, Link, Mac};
use super::rtnl::Rtnl;
use super::rules::{self, Policy};
use super::{Attach, NetError, Subnet, choose, docker, lock, nft};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// What of the host's network belongs to the server with a tag: six hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNet {
    tag: String,
    /// Where the search for a subnet begins.
    seed: u32,
}

/// The network of one app: a bridge that its instances are attached to, and the host's own address there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppNet {
    pub bridge: String,
    pub subnet: Subnet,
    pub gateway: Ipv4Addr,
    pub(super) tag: String,
}

impl HostNet {
    pub fn new(tag: &str) -> Result<Self, NetError> {
        Ok(Self { tag: tag.to_owned(), seed: parse_tag(tag)? })
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The network with a number, which tells it from the server's others: at most 24 bits.
    pub fn app(&self, number: u32, subnet: Subnet) -> AppNet {
        AppNet {
            bridge: format!("{}{number:x}", bridge_prefix(&self.tag)),
            subnet,
            gateway: subnet.nth(1).unwrap_or(subnet.base()),
            tag: self.tag.clone(),
        }
    }

    /// The number of the network that a bridge belongs to; `None` when it is none of this server's, or the single one
    /// that an older server had for all apps.
    pub fn number_of(&self, bridge: &str) -> Option<u32> {
        let number = u32::from_str_radix(bridge.strip_prefix(&bridge_prefix(&self.tag))?, 16).ok()?;
        (number <= NUMBER_MAX).then_some(number)
    }

    /// Begins to give an app its network. While it lasts no other server on this host chooses a subnet, so it is not for
    /// anything else: what is removed takes no subnet from anybody, and takes the kernel ten times as long.
    pub fn begin(&self) -> Result<Change<'_>, NetError> {
        let lock = lock::hold()?;
        Ok(Change { net: self, rtnl: open()?, _lock: lock })
    }

    /// Removes the bridge of an app; what is still attached to it is cut off.
    pub fn dissolve(&self, net: &AppNet) -> Result<(), NetError> {
        let mut rtnl = open()?;
        match find_bridge(&mut rtnl, &net.bridge)? {
            Some(link) => delete(&mut rtnl, &link),
            None => Ok(()),
        }
    }

    /// The numbers of all bridges of this server that are there.
    pub fn numbers(&self) -> Result<Vec<u32>, NetError> {
        let bridges = list(&mut open()?)?.into_iter().filter(|link| link.kind == Kind::Bridge);
        Ok(bridges.filter_map(|link| self.number_of(&link.name)).collect())
    }

    /// Puts the rules in force, for these networks and no others of this server. The bridge of an older server, which all
    /// apps shared, counts as a network as long as it is there.
    pub fn enforce(&self, nets: &[AppNet]) -> Result<(), NetError> {
        switch_on_forwarding()?;
        let policy = self.policy(nets)?;
        let table = self.table();
        let failed = |source| NetError::InstallTable { table: table.clone(), source };
        nft::commit(&rules::install(&table, &policy)).map_err(failed)?;
        match nft::commit(&rules::install_ipv6(&table, &policy)) {
            Err(error) if !rules::is_unsupported(&error) => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The same for rules that are in force already, of which only the networks change. Where they are gone, all of it is
    /// put in force.
    pub fn renew(&self, nets: &[AppNet]) -> Result<(), NetError> {
        let table = self.table();
        match nft::commit(&rules::renew(&table, &self.policy(nets)?)) {
            Ok(()) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.enforce(nets),
            Err(source) => Err(NetError::InstallTable { table, source }),
        }
    }

    fn policy(&self, nets: &[AppNet]) -> Result<Policy, NetError> {
        let mut rtnl = open()?;
        let links = list(&mut rtnl)?;
        let mut policy = Policy {
            prefixes: vec![bridge_prefix(&self.tag)],
            bridges: nets.iter().map(|net| (net.bridge.clone(), net.subnet)).collect(),
        };
        let old = old_bridge_name(&self.tag);
        if let Some(link) = links.iter().find(|link| link.name == old && link.kind == Kind::Bridge) {
            let addresses = addresses(&mut rtnl)?;
            let subnets = addresses.iter().filter(|assigned| assigned.link == link.index).map(|it| it.subnet);
            policy.bridges.extend(subnets.map(|subnet| (old.clone(), subnet)));
            policy.prefixes.push(old);
        }
        Ok(policy)
    }

    /// Lets this server's packets pass Docker's firewall, where there is one.
    pub fn pass_docker(&self) -> Result<(), NetError> {
        let links = list(&mut open()?)?;
        docker::let_through(&self.prefixes(), &links)
            .map_err(|source| NetError::Docker { chain: docker::CHAIN, source })
    }

    /// Removes everything: instances' interfaces, the bridges, the rules. What is gone already is no error. Forwarding
    /// stays on, because others may have come to need it.
    pub fn remove(&self) -> Result<(), NetError> {
        let mut rtnl = open()?;
        for veth in veths_with(&mut rtnl, &self.tag)? {
            delete_link_with(&mut rtnl, &veth)?;
        }
        for bridge in list(&mut rtnl)?.iter().filter(|link| is_bridge_of(&self.tag, link)) {
            delete(&mut rtnl, bridge)?;
        }
        let table = self.table();
        for family in [rules::ipv4(&table), rules::ipv6(&table)] {
            match nft::commit(&rules::remove(family)) {
                Err(error) if !rules::is_unsupported(&error) => {
                    return Err(NetError::RemoveTable { table, source: error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        match docker::withdraw(&self.prefixes()) {
            Err(error) if !rules::is_unsupported(&error) => {
                Err(NetError::Docker { chain: docker::CHAIN, source: error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub fn table(&self) -> String {
        format!("tapit-{}", self.tag)
    }

    fn prefixes(&self) -> [String; 2] {
        [bridge_prefix(&self.tag), old_bridge_name(&self.tag)]
    }
}

impl AppNet {
    /// How an instance with this address is attached. The interface's name follows from the address, so that no two
    /// instances that live at the same time can have the same one.
    pub fn attach(&self, ip: Ipv4Addr) -> Attach {
        Attach {
            bridge: self.bridge.clone(),
            veth: format!("{}{:x}", veth_prefix(&self.tag), ip.to_bits() & NUMBER_MAX),
            ip,
            prefix: self.subnet.prefix(),
            gateway: self.gateway,
        }
    }
}

/// The making of an app's network, under the lock that servers share.
pub struct Change<'a> {
    net: &'a HostNet,
    rtnl: Rtnl,
    _lock: lock::Lock,
}

impl Change<'_> {
    /// A subnet for the network with a number: the one that its bridge has already or had before, when nobody else took
    /// it meanwhile; otherwise a free one.
    pub fn choose(&mut self, number: u32, remembered: Option<Subnet>) -> Result<Subnet, NetError> {
        let nowhere = Subnet::around(Ipv4Addr::UNSPECIFIED, 32);
        let bridge = find_bridge(&mut self.rtnl, &self.net.app(number, nowhere).bridge)?.map(|link| link.index);
        let addresses = addresses(&mut self.rtnl)?;
        let routes = links::routes(&mut self.rtnl).map_err(|source| NetError::List { what: "routes", source })?;
        let own = addresses.iter().filter(|assigned| Some(assigned.link) == bridge).map(|assigned| assigned.subnet);
        let preferred: Vec<_> = remembered.into_iter().chain(own).collect();
        let occupied = choose::occupied(&addresses, &routes, bridge);
        choose::choose(self.net.seed.wrapping_add(number), &preferred, &occupied)
            .ok_or_else(|| NetError::NoFreeSubnet { pools: choose::POOLS.map(|pool| pool.to_string()).join(", ") })
    }

    /// Makes the bridge be there, with the gateway's address and no other, and leaves alone what is right already.
    pub fn establish(&mut self, net: &AppNet) -> Result<(), NetError> {
        let found = find_bridge(&mut self.rtnl, &net.bridge)?;
        let made = found.is_none();
        let result = self.set_up(net, found);
        if result.is_err() && made {
            // What this call created goes again; why it failed is what the caller must hear.
            let _ = delete_link_with(&mut self.rtnl, &net.bridge);
        }
        result
    }

    fn set_up(&mut self, net: &AppNet, found: Option<Link>) -> Result<(), NetError> {
        let bridge = match found {
            Some(link) => link,
            None => {
                links::create_bridge(&mut self.rtnl, &net.bridge, address_mac(net.gateway))
                    .map_err(|source| NetError::CreateBridge { bridge: net.bridge.clone(), source })?;
                find(&mut self.rtnl, &net.bridge)?
            }
        };
        self.give_address(net, &bridge)?;
        if bridge.up {
            return Ok(());
        }
        links::set_up(&mut self.rtnl, bridge.index)
            .map_err(|source| NetError::SetUp { link: net.bridge.clone(), source })
    }

    fn give_address(&mut self, net: &AppNet, bridge: &Link) -> Result<(), NetError> {
        let wanted = Assigned { link: bridge.index, address: net.gateway, subnet: net.subnet };
        let own = addresses(&mut self.rtnl)?.into_iter().filter(|assigned| assigned.link == bridge.index);
        let (right, wrong): (Vec<_>, Vec<_>) = own.partition(|assigned| *assigned == wanted);
        for stale in wrong {
            let link = net.bridge.clone();
            links::remove_address(&mut self.rtnl, stale).map_err(|source| NetError::RemoveAddress {
                link,
                address: stale.address,
                source,
            })?;
        }
        if !right.is_empty() {
            return Ok(());
        }
        links::add_address(&mut self.rtnl, wanted).map_err(|source| NetError::AddAddress {
            link: net.bridge.clone(),
            address: net.gateway,
            subnet: net.subnet,
            source,
        })
    }
}

/// The host side of every instance of the server that has the tag, to compare with the instances that still live.
pub fn list_veths(tag: &str) -> Result<Vec<String>, NetError> {
    parse_tag(tag)?;
    let mut rtnl = open()?;
    veths_with(&mut rtnl, tag)
}

/// Deletes an interface, and with the host side of a pair the container's. One that is gone already is no error.
pub fn delete_link(name: &str) -> Result<(), NetError> {
    let mut rtnl = open()?;
    delete_link_with(&mut rtnl, name)
}

/// The hardware address that belongs to an IPv4 address of ours. An address that is used again comes with the same
/// one, so no neighbour table on the bridge is ever wrong.
pub fn address_mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x74, a, b, c, d]
}

fn parse_tag(tag: &str) -> Result<u32, NetError> {
    let digits = tag.len() == 6 && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parsed = if digits { u32::from_str_radix(tag, 16).ok() } else { None };
    parsed.ok_or_else(|| NetError::Tag { tag: tag.chars().take(32).collect() })
}

/// Numbers of networks, and the part of an address that names an interface: six hexadecimal digits at most.
const NUMBER_MAX: u32 = 0xff_ffff;

/// 9 characters of the 15 that the kernel allows, which leaves 6 for the number.
fn bridge_prefix(tag: &str) -> String {
    format!("tp{tag}-")
}

/// The one bridge of servers that had one for all apps.
fn old_bridge_name(tag: &str) -> String {
    format!("tapit-{tag}")
}

/// 9 characters, which leaves 6 for the last three bytes of the address.
fn veth_prefix(tag: &str) -> String {
    format!("tv{tag}-")
}

fn is_bridge_of(tag: &str, link: &Link) -> bool {
    link.kind == Kind::Bridge && (link.name.starts_with(&bridge_prefix(tag)) || link.name == old_bridge_name(tag))
}

fn open() -> Result<Rtnl, NetError> {
    Rtnl::open().map_err(|source| NetError::Open { source })
}

fn list(rtnl: &mut Rtnl) -> Result<Vec<Link>, NetError> {
    links::list(rtnl).map_err(|source| NetError::List { what: "interfaces", source })
}

fn addresses(rtnl: &mut Rtnl) -> Result<Vec<Assigned>, NetError> {
    links::addresses(rtnl).map_err(|source| NetError::List { what: "addresses", source })
}

/// The interface of that name, which must be there.
pub(super) fn find(rtnl: &mut Rtnl, name: &str) -> Result<Link, NetError> {
    links::find(rtnl, name)
        .map_err(|source| NetError::Find { link: name.to_owned(), source })?
        .ok_or_else(|| NetError::Missing { link: name.to_owned() })
}

/// `None` where nothing has the name.
fn find_bridge(rtnl: &mut Rtnl, name: &str) -> Result<Option<Link>, NetError> {
    let found = links::find(rtnl, name).map_err(|source| NetError::Find { link: name.to_owned(), source })?;
    match found {
        Some(link) if link.kind != Kind::Bridge => Err(NetError::NotABridge { link: name.to_owned() }),
        found => Ok(found),
    }
}

fn veths_with(rtnl: &mut Rtnl, tag: &str) -> Result<Vec<String>, NetError> {
    let links = list(rtnl)?;
    let bridges: Vec<_> = links.iter().filter(|link| is_bridge_of(tag, link)).map(|link| link.index).collect();
    let prefix = veth_prefix(tag);
    let ours = |link: &&Link| {
        let port = link.controller.is_some_and(|bridge| bridges.contains(&bridge));
        link.kind == Kind::Veth && (port || link.name.starts_with(&prefix))
    };
    Ok(links.iter().filter(ours).map(|link| link.name.clone()).collect())
}

fn delete_link_with(rtnl: &mut Rtnl, name: &str) -> Result<(), NetError> {
    let link = links::find(rtnl, name).map_err(|source| NetError::Find { link: name.to_owned(), source })?;
    link.map_or(Ok(()), |link| delete(rtnl, &link))
}

fn delete(rtnl: &mut Rtnl, link: &Link) -> Result<(), NetError> {
    links::delete(rtnl, link.index).map(drop).map_err(|source| NetError::DeleteLink { link: link.name.clone(), source })
}

fn switch_on_forwarding() -> Result<(), NetError> {
    let path = Path::new(FORWARDING);
    let failed = |source| NetError::Forwarding { path: path.to_owned(), source };
    // Written only when it is off: the write resets settings of every interface, and the path may be read-only.
    match fs::read_to_string(path).map_err(failed)?.trim() {
        "1" => Ok(()),
        _ => fs::write(path, "1").map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_six_lower_case_hexadecimal_digits() {
        assert_eq!(parse_tag("00000a").ok(), Some(10));
        assert_eq!(parse_tag("ffffff").ok(), Some(0xff_ffff));
        for bad in ["", "12345", "1234567", "ABCDEF", "12345g", "+12345", "../../", "é1234"] {
            assert!(matches!(parse_tag(bad), Err(NetError::Tag { .. })), "{bad:?}");
        }
    }

    #[test]
    fn names_fit_the_kernel_and_differ_by_address() {
        let host = HostNet::new("abcdef").expect("a tag");
        let net = host.app(0xff_ffff, "10.64.16.0/22".parse().expect("a subnet"));
        assert_eq!((net.bridge.as_str(), net.gateway), ("tpabcdef-ffffff", Ipv4Addr::new(10, 64, 16, 1)));
        let names: std::collections::BTreeSet<_> =
            net.subnet.addresses().map(|ip| net.attach(ip).veth).inspect(|name| assert!(name.len() <= 15)).collect();
        assert_eq!(names.len(), 1022);
    }

    #[test]
    fn a_bridge_tells_the_number_of_its_network() {
        let host = HostNet::new("abcdef").expect("a tag");
        assert_eq!(host.number_of("tpabcdef-1f"), Some(31));
        for other in ["tapit-abcdef", "tpabcdee-1f", "tpabcdef-", "tpabcdef-xy", "tpabcdef-1000000"] {
            assert_eq!(host.number_of(other), None, "{other}");
        }
    }
}
