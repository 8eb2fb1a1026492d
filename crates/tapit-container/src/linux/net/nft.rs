//! nftables through its netlink family: several messages as one transaction, and the list of chains.
//!
//! It knows how tables, chains and rules are framed; what ours say is in `rules.rs`.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::attrs::{self, Attrs};
use super::wire::{HEADER_LEN, Wire};

/// What a table or chain filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Any,
    Ipv4,
}

impl Family {
    fn code(self) -> u8 {
        match self {
            Family::Any => 0,
            Family::Ipv4 => 2,
        }
    }
}

/// A step of a transaction. Tables and chains that exist already are left as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    AddTable { table: String },
    DeleteTable { table: String },
    AddChain { table: String, chain: Chain },
    AddRule { table: String, chain: &'static str, expressions: Attrs },
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

/// A chain as the kernel lists it. Only chains at a hook have one, and a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedChain {
    pub family: u8,
    pub table: String,
    pub name: String,
    pub hook: Option<u32>,
    pub drops_by_policy: bool,
}

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
/// The family and version that precede the attributes.
const GENERAL_LEN: usize = 4;

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const POLICY_DROP: u32 = 0;
const POLICY_ACCEPT: u32 = 1;
/// Listing again, this often at most, when the rule set changed meanwhile.
const DUMPS_MAX: usize = 20;

/// Makes all steps real, or none.
pub fn commit(steps: &[Step]) -> io::Result<()> {
    let mut bytes = message(BATCH_BEGIN, NLM_F_REQUEST, 0, (0, SUBSYSTEM), Attrs::new());
    let mut sequence = 0;
    for step in steps {
        sequence += 1;
        bytes.extend(encode(step, sequence));
    }
    bytes.extend(message(BATCH_END, NLM_F_REQUEST, sequence + 1, (0, SUBSYSTEM), Attrs::new()));
    // Every step asks for an answer and answers come in order, so the last step's ends the exchange.
    Wire::open(NETLINK_NETFILTER)?.exchange(&bytes, sequence).map(drop)
}

/// The chains of all tables of a family.
pub fn chains(family: Family) -> io::Result<Vec<ListedChain>> {
    let kind = SUBSYSTEM << 8 | GET_CHAIN;
    for sequence in 1..=DUMPS_MAX as u32 {
        let request = message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, (family.code(), 0), Attrs::new());
        match Wire::open(NETLINK_NETFILTER)?.exchange(&request, sequence) {
            Ok(answers) => return Ok(answers.iter().filter_map(|answer| read_chain(answer)).collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the rule set changes faster than it can be listed"))
}

fn encode(step: &Step, sequence: u32) -> Vec<u8> {
    let (kind, flags, attrs) = match step {
        Step::AddTable { table } => (NEW_TABLE, NLM_F_CREATE, Attrs::new().text(TABLE_NAME, table)),
        Step::DeleteTable { table } => (DELETE_TABLE, 0, Attrs::new().text(TABLE_NAME, table)),
        Step::AddChain { table, chain } => {
            let hook = Attrs::new()
                .number(HOOK_NUMBER, chain.hook.number())
                .bytes(HOOK_PRIORITY, &chain.priority.to_be_bytes());
            let attrs = Attrs::new()
                .text(CHAIN_TABLE, table)
                .text(CHAIN_NAME, chain.name)
                .nest(CHAIN_HOOK, hook)
                .number(CHAIN_POLICY, POLICY_ACCEPT)
                .text(CHAIN_TYPE, chain.kind);
            (NEW_CHAIN, NLM_F_CREATE, attrs)
        }
        Step::AddRule { table, chain, expressions } => {
            let attrs = Attrs::new()
                .text(RULE_TABLE, table)
                .text(RULE_CHAIN, chain)
                .nest(RULE_EXPRESSIONS, expressions.clone());
            (NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, attrs)
        }
    };
    let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message(SUBSYSTEM << 8 | kind, flags, sequence, (Family::Ipv4.code(), 0), attrs)
}

/// `general` is the family, and for the ends of a batch the subsystem that it is for.
fn message(kind: u16, flags: u16, sequence: u32, general: (u8, u16), attrs: Attrs) -> Vec<u8> {
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

fn read_chain(answer: &[u8]) -> Option<ListedChain> {
    let (general, body) = answer.get(HEADER_LEN..)?.split_at_checked(GENERAL_LEN)?;
    let text = |kind| attrs::find(body, kind).and_then(attrs::as_text);
    let number = |bytes, kind| attrs::find(bytes, kind).and_then(attrs::as_number);
    Some(ListedChain {
        family: general[0],
        table: text(CHAIN_TABLE)?.to_owned(),
        name: text(CHAIN_NAME)?.to_owned(),
        hook: attrs::find(body, CHAIN_HOOK).and_then(|hook| number(hook, HOOK_NUMBER)),
        drops_by_policy: number(body, CHAIN_POLICY) == Some(POLICY_DROP),
    })
}

#[cfg(test)]
mod tests {
    use super::super::beside;
    use super::super::tests::Machine;
    use super::*;

    #[test]
    fn a_foreign_forward_chain_that_drops_by_default_is_warned_of() {
        let machine = Machine::new();
        machine.run(|| {
            assert_eq!(beside::warnings(), [""; 0]);
            let table = "foreign".to_owned();
            let forward = Chain { name: "FORWARD", kind: "filter", hook: Hook::Forward, priority: 0 };
            commit(&[Step::AddTable { table: table.clone() }, Step::AddChain { table: table.clone(), chain: forward }])
                .expect("a chain that accepts");
            assert_eq!(beside::warnings(), [""; 0]);

            let attrs = Attrs::new().text(CHAIN_TABLE, &table).text(CHAIN_NAME, "FORWARD").number(CHAIN_POLICY, 0);
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
            let table = |name: &str| name.to_owned();
            let error = commit(&[
                Step::AddTable { table: table("first") },
                Step::AddChain {
                    table: table("first"),
                    chain: Chain { name: "forward", kind: "filter", hook: Hook::Forward, priority: 0 },
                },
                Step::DeleteTable { table: table("missing") },
            ])
            .expect_err("the last step cannot be");
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
            assert_eq!(chains(Family::Ipv4).expect("the list"), []);
        });
    }
}
