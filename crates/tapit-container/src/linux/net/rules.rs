//! The nftables table of a server: what it says, and that it is there or gone.
//!
//! The table is replaced as a whole in one transaction, never compared: no packet sees a gap, connections keep their
//! state, and what somebody emptied by hand is right again after the next start.
//!
//! ```text
//! prerouting    from the bridge, to the metadata address: drop
//! forward       to the bridge from elsewhere: only answers
//! postrouting   from the subnet, not to the bridge: masquerade
//! ```

use std::io;
use std::net::Ipv4Addr;

use super::Subnet;
use super::expr::{Expressions, Field, Is, Side, Verdict};
use super::nft::{Chain, Hook, Step};

/// Clouds answer here with the credentials of the whole machine to whoever asks.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// After every translation of destinations and before routing: the address that a packet really goes to, be it another
/// machine or a metadata service on this one.
const PREROUTING: Chain = Chain { name: "prerouting", kind: "filter", hook: Hook::Prerouting, priority: 0 };
const FORWARD: Chain = Chain { name: "forward", kind: "filter", hook: Hook::Forward, priority: 0 };
/// The place that the kernel reserves for the translation of sources.
const POSTROUTING: Chain = Chain { name: "postrouting", kind: "nat", hook: Hook::Postrouting, priority: 100 };

/// The steps that make the table be as it should, whatever it was.
pub fn install(table: &str, bridge: &str, subnet: Subnet) -> Vec<Step> {
    let table = || table.to_owned();
    let chain = |chain| Step::AddChain { table: table(), chain };
    let rule = |chain: Chain, expressions| Step::AddRule { table: table(), chain: chain.name, expressions };

    let metadata = Expressions::new()
        .interface(Side::In, Is::Same, bridge)
        .address(Field::Destination, Subnet::around(METADATA, 32))
        .then(Verdict::Drop);
    // Forwarding was switched on for the containers' own connections; it must not open them to other machines, which
    // could otherwise name this host as their gateway to the subnet.
    let answers = Expressions::new()
        .interface(Side::Out, Is::Same, bridge)
        .interface(Side::In, Is::Different, bridge)
        .of_known_connection()
        .then(Verdict::Accept);
    let intruders = Expressions::new()
        .interface(Side::Out, Is::Same, bridge)
        .interface(Side::In, Is::Different, bridge)
        .then(Verdict::Drop);
    let outward = Expressions::new()
        .address(Field::Source, subnet)
        .interface(Side::Out, Is::Different, bridge)
        .then(Verdict::Masquerade);

    let mut steps = remove(&table());
    steps.extend([
        Step::AddTable { table: table() },
        chain(PREROUTING),
        rule(PREROUTING, metadata),
        chain(FORWARD),
        rule(FORWARD, answers),
        rule(FORWARD, intruders),
        chain(POSTROUTING),
        rule(POSTROUTING, outward),
    ]);
    steps
}

/// The steps after which there is no such table. It is added first because deleting what is missing is an error, and
/// the message that would say "if any" is younger than the kernels that this must run on.
pub fn remove(table: &str) -> Vec<Step> {
    vec![Step::AddTable { table: table.to_owned() }, Step::DeleteTable { table: table.to_owned() }]
}

/// Whether the kernel's refusal means that it has no nftables at all, so that there is no table either.
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP))
}
