//! The network of one server on the host: made, found again, removed.
//!
//! Every step looks first and then does what is missing, so the same call serves the first start, every later one and
//! the repair after somebody deleted a part. Names are derived from the tag of the data directory, so that servers of
//! different directories live side by side.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::links::{self, Assigned, Kind, Link, Mac};
use super::rtnl::Rtnl;
use super::{Attach, NetError, Subnet, choose, lock, nft, rules};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// What a server has on the host. It remembers this value, to get the same subnet after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNet {
    /// The interface that all instances are attached to.
    pub bridge: String,
    pub subnet: Subnet,
    /// The host's own address in the subnet.
    pub gateway: Ipv4Addr,
    /// The nftables table, of family `ip`.
    pub table: String,
    /// Six hexadecimal digits that tell this server's things from those of others.
    pub tag: String,
}

impl HostNet {
    /// Makes the network be there, and leaves alone what is right already. The remembered subnet is used again when
    /// nobody else took it meanwhile; otherwise another one is chosen, which the caller must remember.
    pub fn ensure(tag: &str, remembered: Option<HostNet>) -> Result<HostNet, NetError> {
        let seed = parse_tag(tag)?;
        let _lock = lock::hold()?;
        let mut rtnl = Rtnl::open().map_err(|source| NetError::Open { source })?;
        let seen = Seen::look(&mut rtnl, &bridge_name(tag))?;

        let preferred: Vec<_> = remembered.map(|net| net.subnet).into_iter().chain(seen.own_subnets()).collect();
        let occupied = choose::occupied(&seen.addresses, &seen.routes, seen.bridge.as_ref().map(|link| link.index));
        let subnet = choose::choose(seed, &preferred, &occupied)
            .ok_or_else(|| NetError::NoFreeSubnet { pools: choose::POOLS.map(|pool| pool.to_string()).join(", ") })?;
        let net = HostNet::named(tag, subnet);

        net.establish(&mut rtnl, &seen).inspect_err(|_| {
            if seen.bridge.is_none() {
                // What this call created goes again; why it failed is what the caller must hear.
                let _ = delete_link_with(&mut rtnl, &net.bridge);
            }
        })?;
        Ok(net)
    }

    /// Removes the network: instances' interfaces, the bridge, the table. What is gone already is no error. Forwarding
    /// stays on, because others may have come to need it.
    pub fn remove(&self) -> Result<(), NetError> {
        parse_tag(&self.tag)?;
        // The value may come from a file. Only the tag is believed, so that a damaged one deletes nobody's interface.
        let HostNet { bridge, table, .. } = HostNet::named(&self.tag, self.subnet);
        let _lock = lock::hold()?;
        let mut rtnl = Rtnl::open().map_err(|source| NetError::Open { source })?;
        for veth in veths_with(&mut rtnl, &self.tag)? {
            delete_link_with(&mut rtnl, &veth)?;
        }
        delete_link_with(&mut rtnl, &bridge)?;
        match nft::commit(&rules::remove(&table)) {
            Ok(()) => Ok(()),
            Err(error) if rules::is_unsupported(&error) => Ok(()),
            Err(source) => Err(NetError::RemoveTable { table, source }),
        }
    }

    /// How an instance with this address is attached. The interface's name follows from the address, so that no two
    /// instances that live at the same time can have the same one.
    pub fn attach(&self, ip: Ipv4Addr) -> Attach {
        let place = ip.to_bits().wrapping_sub(self.subnet.base().to_bits());
        Attach {
            bridge: self.bridge.clone(),
            veth: format!("{}{:x}", veth_prefix(&self.tag), place & 0xfff),
            ip,
            prefix: self.subnet.prefix(),
            gateway: self.gateway,
        }
    }

    fn named(tag: &str, subnet: Subnet) -> HostNet {
        HostNet {
            bridge: bridge_name(tag),
            subnet,
            gateway: subnet.nth(1).unwrap_or(subnet.base()),
            table: format!("tapit-{tag}"),
            tag: tag.to_owned(),
        }
    }

    fn establish(&self, rtnl: &mut Rtnl, seen: &Seen) -> Result<(), NetError> {
        let bridge = match &seen.bridge {
            Some(link) => link.clone(),
            None => self.create_bridge(rtnl)?,
        };
        self.give_address(rtnl, &bridge, seen)?;
        if !bridge.up {
            links::set_up(rtnl, bridge.index)
                .map_err(|source| NetError::SetUp { link: self.bridge.clone(), source })?;
        }
        switch_on_forwarding()?;
        nft::commit(&rules::install(&self.table, &self.bridge, self.subnet))
            .map_err(|source| NetError::InstallTable { table: self.table.clone(), source })
    }

    fn create_bridge(&self, rtnl: &mut Rtnl) -> Result<Link, NetError> {
        links::create_bridge(rtnl, &self.bridge, address_mac(self.gateway))
            .map_err(|source| NetError::CreateBridge { bridge: self.bridge.clone(), source })?;
        find(rtnl, &self.bridge)
    }

    /// Leaves the bridge with the gateway's address and no other one.
    fn give_address(&self, rtnl: &mut Rtnl, bridge: &Link, seen: &Seen) -> Result<(), NetError> {
        let wanted = Assigned { link: bridge.index, address: self.gateway, subnet: self.subnet };
        let (right, wrong): (Vec<_>, Vec<_>) = seen.own_addresses().partition(|assigned| *assigned == wanted);
        for stale in wrong {
            let link = self.bridge.clone();
            links::remove_address(rtnl, stale).map_err(|source| NetError::RemoveAddress {
                link,
                address: stale.address,
                source,
            })?;
        }
        if right.is_empty() {
            links::add_address(rtnl, wanted).map_err(|source| NetError::AddAddress {
                link: self.bridge.clone(),
                address: self.gateway,
                subnet: self.subnet,
                source,
            })?;
        }
        Ok(())
    }
}

/// The host side of every instance of the server that has the tag, to compare with the instances that still live.
pub fn list_veths(tag: &str) -> Result<Vec<String>, NetError> {
    parse_tag(tag)?;
    let mut rtnl = Rtnl::open().map_err(|source| NetError::Open { source })?;
    veths_with(&mut rtnl, tag)
}

/// Deletes an interface, and with the host side of a pair the container's. One that is gone already is no error.
pub fn delete_link(name: &str) -> Result<(), NetError> {
    let mut rtnl = Rtnl::open().map_err(|source| NetError::Open { source })?;
    delete_link_with(&mut rtnl, name)
}

/// The hardware address that belongs to an IPv4 address of ours. An address that is used again comes with the same
/// one, so no neighbour table on the bridge is ever wrong.
pub fn address_mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x74, a, b, c, d]
}

/// What the host has, as far as it matters here.
struct Seen {
    bridge: Option<Link>,
    addresses: Vec<Assigned>,
    routes: Vec<links::Route>,
}

impl Seen {
    fn look(rtnl: &mut Rtnl, bridge: &str) -> Result<Self, NetError> {
        let listed = |what| move |source| NetError::List { what, source };
        let link = links::find(rtnl, bridge).map_err(|source| NetError::Find { link: bridge.to_owned(), source })?;
        if link.as_ref().is_some_and(|link| link.kind != Kind::Bridge) {
            return Err(NetError::NotABridge { link: bridge.to_owned() });
        }
        Ok(Self {
            bridge: link,
            addresses: links::addresses(rtnl).map_err(listed("addresses"))?,
            routes: links::routes(rtnl).map_err(listed("routes"))?,
        })
    }

    fn own_addresses(&self) -> impl Iterator<Item = Assigned> {
        let own = self.bridge.as_ref().map(|link| link.index);
        self.addresses.iter().filter(move |assigned| Some(assigned.link) == own).copied()
    }

    fn own_subnets(&self) -> impl Iterator<Item = Subnet> {
        self.own_addresses().map(|assigned| assigned.subnet)
    }
}

fn parse_tag(tag: &str) -> Result<u32, NetError> {
    let digits = tag.len() == 6 && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parsed = if digits { u32::from_str_radix(tag, 16).ok() } else { None };
    parsed.ok_or_else(|| NetError::Tag { tag: tag.chars().take(32).collect() })
}

/// 12 characters; the kernel allows 15.
fn bridge_name(tag: &str) -> String {
    format!("tapit-{tag}")
}

/// 9 characters, which leaves 6 for the place in the subnet.
fn veth_prefix(tag: &str) -> String {
    format!("tv{tag}-")
}

/// The interface of that name, which must be there.
pub(super) fn find(rtnl: &mut Rtnl, name: &str) -> Result<Link, NetError> {
    links::find(rtnl, name)
        .map_err(|source| NetError::Find { link: name.to_owned(), source })?
        .ok_or_else(|| NetError::Missing { link: name.to_owned() })
}

fn veths_with(rtnl: &mut Rtnl, tag: &str) -> Result<Vec<String>, NetError> {
    let links = links::list(rtnl).map_err(|source| NetError::List { what: "interfaces", source })?;
    let bridge = links.iter().find(|link| link.name == bridge_name(tag)).map(|link| link.index);
    let prefix = veth_prefix(tag);
    let ours = |link: &&Link| {
        let port = link.controller.is_some() && link.controller == bridge;
        link.kind == Kind::Veth && (port || link.name.starts_with(&prefix))
    };
    Ok(links.iter().filter(ours).map(|link| link.name.clone()).collect())
}

fn delete_link_with(rtnl: &mut Rtnl, name: &str) -> Result<(), NetError> {
    let link = links::find(rtnl, name).map_err(|source| NetError::Find { link: name.to_owned(), source })?;
    match link {
        Some(link) => links::delete(rtnl, link.index)
            .map(drop)
            .map_err(|source| NetError::DeleteLink { link: name.to_owned(), source }),
        None => Ok(()),
    }
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
        let net = HostNet::named("abcdef", "10.64.16.0/20".parse().expect("a subnet"));
        assert_eq!((net.bridge.as_str(), net.gateway), ("tapit-abcdef", Ipv4Addr::new(10, 64, 16, 1)));
        let names: std::collections::BTreeSet<_> =
            net.subnet.addresses().map(|ip| net.attach(ip).veth).inspect(|name| assert!(name.len() <= 15)).collect();
        assert_eq!(names.len(), 4094);
    }
}
