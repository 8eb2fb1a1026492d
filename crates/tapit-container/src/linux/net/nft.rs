//! nftables through its netlink family: several messages as one transaction.
//!
//! It knows how tables, chains, sets and rules are framed; what ours say is in `rules.rs` and `docker.rs`. What is there
//! already is read by `nft_list.rs`.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::attrs::Attrs;
use super::wire::{HEADER_LEN, Wire};

/// What a table or chain filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Any,
    Ipv4,
    Ipv6,
}

impl Family {
    pub fn code(self) -> u8 {
        match self {
            Family::Any => 0,
            Family::Ipv4 => 2,
            Family::Ipv6 => 10,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub family: Family,
    pub name: String,
}

/// A step of a transaction. Tables and chains that exist already are left as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    AddTable {
        table: Table,
    },
    DeleteTable {
        table: Table,
    },
    AddChain {
        table: Table,
        chain: Chain,
    },
    AddSet {
        table: Table,
        set: Set,
    },
    /// Takes all elements out.
    EmptySet {
        table: Table,
        set: Set,
    },
    /// At most `ELEMENTS_MAX` of them.
    AddElements {
        table: Table,
        set: Set,
        keys: Vec<Vec<u8>>,
    },
    AddRule {
        table: Table,
        chain: &'static str,
        place: Place,
        expressions: Attrs,
    },
    DeleteRule {
        table: Table,
        chain: &'static str,
        handle: u64,
    },
}

/// Where in its chain a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Last,
}

/// A chain at one of the kernel's hooks; what no rule decides passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    pub name: &'static str,
    /// `filter` or `nat`.
    pub kind: &'static str,
    pub hook: Hook,
    /// Lower ones are asked first.
    pub priority: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Forward,
    Postrouting,
}

impl Hook {
    pub fn number(self) -> u32 {
        match self {
            Hook::Prerouting => 0,
            Hook::Forward => 2,
            Hook::Postrouting => 4,
        }
    }
}

/// A set of keys of one length, which a rule asks with one look however many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    pub name: &'static str,
    /// Tells the set from the others of the same transaction.
    pub id: u32,
    /// How `nft` shows the keys.
    pub key_type: u32,
    pub key_len: u32,
}

/// So many keys fit into one attribute, whose length is a number of 16 bits.
pub const ELEMENTS_MAX: usize = 1_000;

pub const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
/// The family and version that precede the attributes.
pub const GENERAL_LEN: usize = 4;

const TABLE_NAME: u16 = 1;
pub const CHAIN_TABLE: u16 = 1;
pub const CHAIN_NAME: u16 = 3;
pub const CHAIN_HOOK: u16 = 4;
pub const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
pub const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
pub const RULE_TABLE: u16 = 1;
pub const RULE_CHAIN: u16 = 2;
pub const RULE_HANDLE: u16 = 3;
pub const RULE_EXPRESSIONS: u16 = 4;
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_ID: u16 = 10;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const DATA_VALUE: u16 = 1;
const POLICY_ACCEPT: u32 = 1;

/// Makes all steps real, or none.
pub fn commit(steps: &[Step]) -> io::Result<()> {
    let Some(last) = u32::try_from(steps.len()).ok().filter(|len| *len > 0) else { return Ok(()) };
    let mut bytes = message(BATCH_BEGIN, NLM_F_REQUEST, 0, (0, SUBSYSTEM), Attrs::new());
    for (sequence, step) in (1..).zip(steps) {
        bytes.extend(encode(step, sequence));
    }
    bytes.extend(message(BATCH_END, NLM_F_REQUEST, last + 1, (0, SUBSYSTEM), Attrs::new()));
    // Every step asks for an answer and answers come in order, so the last step's ends the exchange.
    ask(&bytes, last).map(drop)
}

/// One exchange with the kernel's packet filter.
///
/// Closing such a socket waits until the kernel has let go of all that anybody has removed, for 10 ms and more: long after
/// the change is in force. So a thread closes it, and nobody else waits.
pub fn ask(request: &[u8], last: u32) -> io::Result<Vec<Vec<u8>>> {
    let wire = Wire::open(NETLINK_NETFILTER)?;
    let answers = wire.exchange(request, last);
    // A thread that cannot be had drops the socket here and now.
    drop(std::thread::Builder::new().name("nft-close".to_owned()).spawn(move || drop(wire)));
    answers
}

fn encode(step: &Step, sequence: u32) -> Vec<u8> {
    let (table, kind, flags, attrs) = match step {
        Step::AddTable { table } => (table, NEW_TABLE, NLM_F_CREATE, Attrs::new().text(TABLE_NAME, &table.name)),
        Step::DeleteTable { table } => (table, DELETE_TABLE, 0, Attrs::new().text(TABLE_NAME, &table.name)),
        Step::AddChain { table, chain } => (table, NEW_CHAIN, NLM_F_CREATE, describe_chain(table, chain)),
        Step::AddSet { table, set } => {
            let attrs = Attrs::new()
                .text(SET_TABLE, &table.name)
                .text(SET_NAME, set.name)
                .number(SET_KEY_TYPE, set.key_type)
                .number(SET_KEY_LEN, set.key_len)
                .number(SET_ID, set.id);
            (table, NEW_SET, NLM_F_CREATE, attrs)
        }
        Step::EmptySet { table, set } => {
            // Which ones is not said, so all.
            let attrs = Attrs::new().text(ELEMENTS_TABLE, &table.name).text(ELEMENTS_SET, set.name);
            (table, DELETE_ELEMENTS, 0, attrs)
        }
        Step::AddElements { table, set, keys } => {
            let element = |key: &Vec<u8>| Attrs::new().nest(ELEMENT_KEY, Attrs::new().bytes(DATA_VALUE, key));
            let elements = keys.iter().fold(Attrs::new(), |all, key| all.nest(LIST_ELEMENT, element(key)));
            let attrs =
                Attrs::new().text(ELEMENTS_TABLE, &table.name).text(ELEMENTS_SET, set.name).nest(ELEMENTS, elements);
            (table, NEW_ELEMENTS, NLM_F_CREATE, attrs)
        }
        Step::AddRule { table, chain, place, expressions } => {
            let attrs = Attrs::new()
                .text(RULE_TABLE, &table.name)
                .text(RULE_CHAIN, chain)
                .nest(RULE_EXPRESSIONS, expressions.clone());
            let flags = match place {
                Place::First => NLM_F_CREATE,
                Place::Last => NLM_F_CREATE | NLM_F_APPEND,
            };
            (table, NEW_RULE, flags, attrs)
        }
        Step::DeleteRule { table, chain, handle } => {
            let attrs = Attrs::new()
                .text(RULE_TABLE, &table.name)
                .text(RULE_CHAIN, chain)
                .bytes(RULE_HANDLE, &handle.to_be_bytes());
            (table, DELETE_RULE, 0, attrs)
        }
    };
    message(SUBSYSTEM << 8 | kind, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, (table.family.code(), 0), attrs)
}

fn describe_chain(table: &Table, chain: &Chain) -> Attrs {
    let hook =
        Attrs::new().number(HOOK_NUMBER, chain.hook.number()).bytes(HOOK_PRIORITY, &chain.priority.to_be_bytes());
    Attrs::new()
        .text(CHAIN_TABLE, &table.name)
        .text(CHAIN_NAME, chain.name)
        .nest(CHAIN_HOOK, hook)
        .number(CHAIN_POLICY, POLICY_ACCEPT)
        .text(CHAIN_TYPE, chain.kind)
}

/// `general` is the family, and for the ends of a batch the subsystem that it is for.
pub fn message(kind: u16, flags: u16, sequence: u32, general: (u8, u16), attrs: Attrs) -> Vec<u8> {
    let attrs = attrs.into_bytes();
    let len = HEADER_LEN + GENERAL_LEN + attrs.len();
    let mut bytes = Vec::with_capacity(len);
    bytes.extend((len as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The sender's port: left to the kernel.
    bytes.extend(0u32.to_ne_bytes());
    let (family, resource) = general;
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attrs);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::tests::Machine;
    use super::super::{beside, nft_list};
    use super::*;

    fn table(name: &str) -> Table {
        Table { family: Family::Ipv4, name: name.to_owned() }
    }

    const FORWARD: Chain = Chain { name: "FORWARD", kind: "filter", hook: Hook::Forward, priority: 0 };

    #[test]
    fn a_foreign_forward_chain_that_drops_by_default_is_warned_of() {
        let machine = Machine::new();
        machine.run(|| {
            assert_eq!(beside::warnings(), [""; 0]);
            let table = table("foreign");
            commit(&[Step::AddTable { table: table.clone() }, Step::AddChain { table, chain: FORWARD }])
                .expect("a chain that accepts");
            assert_eq!(beside::warnings(), [""; 0]);

            let attrs = Attrs::new().text(CHAIN_TABLE, "foreign").text(CHAIN_NAME, "FORWARD").number(CHAIN_POLICY, 0);
            let flags = NLM_F_REQUEST | NLM_F_ACK;
            let mut batch = message(BATCH_BEGIN, NLM_F_REQUEST, 0, (0, SUBSYSTEM), Attrs::new());
            batch.extend(message(SUBSYSTEM << 8 | NEW_CHAIN, flags, 1, (Family::Ipv4.code(), 0), attrs));
            batch.extend(message(BATCH_END, NLM_F_REQUEST, 2, (0, SUBSYSTEM), Attrs::new()));
            Wire::open(NETLINK_NETFILTER).and_then(|wire| wire.exchange(&batch, 1)).expect("a policy");
            let warnings = beside::warnings();
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].contains("chain FORWARD of the table foreign"), "{warnings:?}");
        });
    }

    #[test]
    fn a_transaction_that_is_refused_changes_nothing() {
        let machine = Machine::new();
        machine.run(|| {
            let error = commit(&[
                Step::AddTable { table: table("first") },
                Step::AddChain { table: table("first"), chain: FORWARD },
                Step::DeleteTable { table: table("missing") },
            ])
            .expect_err("the last step cannot be");
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
            assert_eq!(nft_list::chains(Family::Ipv4).expect("the list"), []);
        });
    }
}
