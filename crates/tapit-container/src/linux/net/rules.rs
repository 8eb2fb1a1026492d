//! The nftables tables of a server: what they say, and that they are there or gone.
//!
//! A table is put in force as a whole in one transaction, never compared: no packet sees a gap and connections keep their
//! state. A change of apps fills its sets anew; where the table is gone, somebody has flushed the host's rules, and it is
//! put in force again. There are as many rules for a thousand apps as
//! for one: what differs from app to app lies in two sets, `lots` (bridge and block of addresses) and `blocks`.
//!
//! ```text
//! prerouting    from a bridge of ours, to the link-local block (metadata of clouds): drop
//!               from a bridge of ours, with a source outside of the app's block: drop
//!               new, to a block of ours, not by its own bridge nor from this host itself: drop
//! postrouting   to a bridge of ours, or to this host itself: as it is
//!               from a block of ours: masquerade
//! IPv6          from a bridge of ours: drop
//! ```
//!
//! The third rule is what keeps apps, and the apps of other servers, and the host's neighbours, from one another: an
//! app's block holds its instances and its gateway, where its names are answered.

use std::io;
use std::net::Ipv4Addr;

use super::Subnet;
use super::choose::PREFIX;
use super::expr::{Expressions, Field, Is, Side, Verdict, padded};
use super::nft::{Chain, ELEMENTS_MAX, Family, Hook, Place, Set, Step, Table};

/// Clouds answer here with the credentials of the whole machine to whoever asks, at more than one address of the block.
const LINK_LOCAL: Subnet = Subnet::around(Ipv4Addr::new(169, 254, 0, 0), 16);
const LOOPBACK: &str = "lo";

/// After every translation of destinations and before routing: the address that a packet really goes to, be it another
/// machine or a metadata service on this one.
const PREROUTING: Chain = Chain { name: "prerouting", kind: "filter", hook: Hook::Prerouting, priority: 0 };
/// The place that the kernel reserves for the translation of sources.
const POSTROUTING: Chain = Chain { name: "postrouting", kind: "nat", hook: Hook::Postrouting, priority: 100 };

/// How `nft` is to show keys: an address, and an interface's name followed by one. The numbers are those of its types.
const TYPE_ADDRESS: u32 = 7;
const TYPE_NAME_AND_ADDRESS: u32 = 41 << 6 | TYPE_ADDRESS;
const LOTS: Set = Set { name: "lots", id: 1, key_type: TYPE_NAME_AND_ADDRESS, key_len: 20 };
const BLOCKS: Set = Set { name: "blocks", id: 2, key_type: TYPE_ADDRESS, key_len: 4 };

/// What is put in force for a server.
pub struct Policy {
    /// What the names of its bridges begin with, and of no others.
    pub prefixes: Vec<String>,
    /// Each bridge with its subnet, which is of the size of an app's or a multiple of it.
    pub bridges: Vec<(String, Subnet)>,
}

/// The steps that make the IPv4 table be as it should, whatever it was.
pub fn install(name: &str, policy: &Policy) -> Vec<Step> {
    let table = || ipv4(name);
    let rule = |chain: Chain, expressions| Step::AddRule {
        table: table(),
        chain: chain.name,
        place: Place::Last,
        expressions,
    };
    let mut steps = remove(table());
    steps.extend([
        Step::AddTable { table: table() },
        Step::AddSet { table: table(), set: LOTS },
        Step::AddSet { table: table(), set: BLOCKS },
    ]);
    steps.extend(elements(name, policy));
    steps.push(Step::AddChain { table: table(), chain: PREROUTING });
    for prefix in &policy.prefixes {
        let ours = || Expressions::new().interface_begins(Side::In, prefix);
        steps.push(rule(PREROUTING, ours().address(Field::Destination, LINK_LOCAL).then(Verdict::Drop)));
        steps.push(rule(PREROUTING, ours().not_paired(Field::Source, LOTS).then(Verdict::Drop)));
    }
    let strangers = Expressions::new()
        .interface(Side::In, Is::Different, LOOPBACK)
        .of_no_known_connection()
        .block(Field::Destination, BLOCKS)
        .not_paired(Field::Destination, LOTS)
        .then(Verdict::Drop);
    steps.push(rule(PREROUTING, strangers));
    steps.push(Step::AddChain { table: table(), chain: POSTROUTING });
    // What this host says to itself at a gateway's address.
    let home = Expressions::new().interface(Side::Out, Is::Same, LOOPBACK).then(Verdict::Accept);
    steps.push(rule(POSTROUTING, home));
    for prefix in &policy.prefixes {
        // Packets that stay on a bridge pass here too where bridged packets are filtered.
        let inward = Expressions::new().interface_begins(Side::Out, prefix).then(Verdict::Accept);
        steps.push(rule(POSTROUTING, inward));
    }
    let outward = Expressions::new().block(Field::Source, BLOCKS).then(Verdict::Masquerade);
    steps.push(rule(POSTROUTING, outward));
    steps
}

/// The steps that tell a table which is there of other apps. Replacing a table takes the kernel some 20 ms, for it takes its
/// hooks off and waits until no packet is in them; filling a set takes none of that.
pub fn renew(name: &str, policy: &Policy) -> Vec<Step> {
    let mut steps =
        vec![Step::EmptySet { table: ipv4(name), set: LOTS }, Step::EmptySet { table: ipv4(name), set: BLOCKS }];
    steps.extend(elements(name, policy));
    steps
}

fn elements(name: &str, policy: &Policy) -> Vec<Step> {
    let blocks: Vec<_> =
        policy.bridges.iter().flat_map(|(name, net)| parts(net).map(move |base| (name, base))).collect();
    let add = |some: &[(&String, Ipv4Addr)]| {
        let lots = some.iter().map(|(name, base)| [&padded(name)[..], &base.octets()].concat()).collect();
        let bases = some.iter().map(|(_, base)| base.octets().to_vec()).collect();
        [
            Step::AddElements { table: ipv4(name), set: LOTS, keys: lots },
            Step::AddElements { table: ipv4(name), set: BLOCKS, keys: bases },
        ]
    };
    blocks.chunks(ELEMENTS_MAX).flat_map(add).collect()
}

/// The same for IPv6, of which instances have link-local addresses alone: none of their packets gets to the host or
/// further. Before connections are tracked, since there will be none.
pub fn install_ipv6(name: &str, policy: &Policy) -> Vec<Step> {
    const CHAIN: Chain = Chain { priority: -300, ..PREROUTING };
    let table = || ipv6(name);
    let mut steps = remove(table());
    steps.extend([Step::AddTable { table: table() }, Step::AddChain { table: table(), chain: CHAIN }]);
    for prefix in &policy.prefixes {
        let expressions = Expressions::new().interface_begins(Side::In, prefix).then(Verdict::Drop);
        steps.push(Step::AddRule { table: table(), chain: CHAIN.name, place: Place::Last, expressions });
    }
    steps
}

/// The steps after which there is no such table. It is added first because deleting what is missing is an error, and
/// the message that would say "if any" is younger than the kernels that this must run on.
pub fn remove(table: Table) -> Vec<Step> {
    vec![Step::AddTable { table: table.clone() }, Step::DeleteTable { table }]
}

pub fn ipv4(name: &str) -> Table {
    Table { family: Family::Ipv4, name: name.to_owned() }
}

pub fn ipv6(name: &str) -> Table {
    Table { family: Family::Ipv6, name: name.to_owned() }
}

/// Whether the kernel's refusal means that it has no nftables for this family at all, so that there is no table either.
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
}

/// The bases of the blocks of an app's size that a subnet consists of.
fn parts(subnet: &Subnet) -> impl Iterator<Item = Ipv4Addr> {
    let size = Subnet::around(subnet.base(), PREFIX).size() as u32;
    let subnet = *subnet;
    (0..).map_while(move |part: u32| subnet.nth(part.checked_mul(size)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(text: &str) -> Vec<String> {
        parts(&text.parse().expect(text)).map(|base| base.to_string()).collect()
    }

    #[test]
    fn a_subnet_consists_of_blocks_of_an_apps_size() {
        assert_eq!(bases("10.64.4.0/22"), ["10.64.4.0"]);
        assert_eq!(bases("10.64.16.0/20"), ["10.64.16.0", "10.64.20.0", "10.64.24.0", "10.64.28.0"]);
    }

    #[test]
    fn the_number_of_rules_does_not_grow_with_the_number_of_apps() {
        let steps = |apps: u32| {
            let bridge = |n: u32| (format!("tp00000a-{n:x}"), Subnet::around(Ipv4Addr::from_bits(n << 10), PREFIX));
            let policy = Policy { prefixes: vec!["tp00000a-".to_owned()], bridges: (0..apps).map(bridge).collect() };
            install("tapit-00000a", &policy).len()
        };
        assert_eq!(steps(2), steps(1));
        assert_eq!(steps(3_000), steps(1) + 4);
    }
}
