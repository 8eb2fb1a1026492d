//! What the kernel holds of nftables: chains and rules, also those of others.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};

use super::attrs::{self, Attrs};
use super::nft::{
    CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE, Family, GENERAL_LEN, HOOK_NUMBER, RULE_CHAIN, RULE_EXPRESSIONS,
    RULE_HANDLE, RULE_TABLE, SUBSYSTEM, Table, ask, message,
};
use super::wire::HEADER_LEN;

/// A chain as the kernel lists it. Only chains at a hook have one, and a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedChain {
    pub family: u8,
    pub table: String,
    pub name: String,
    pub hook: Option<u32>,
    pub drops_by_policy: bool,
}

/// A rule as the kernel lists it; `handle` is how it is named when it is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRule {
    pub handle: u64,
    pub expressions: Vec<u8>,
}

const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const POLICY_DROP: u32 = 0;
/// Listing again, this often at most, when the rule set changed meanwhile.
const DUMPS_MAX: u32 = 20;

/// The chains of all tables of a family.
pub fn chains(family: Family) -> io::Result<Vec<ListedChain>> {
    let answers = dump(GET_CHAIN, family, Attrs::new())?;
    Ok(answers.iter().filter_map(|answer| read_chain(answer)).collect())
}

/// The rules of one chain, in order.
pub fn rules(table: &Table, chain: &str) -> io::Result<Vec<ListedRule>> {
    let attrs = Attrs::new().text(RULE_TABLE, &table.name).text(RULE_CHAIN, chain);
    let answers = dump(GET_RULE, table.family, attrs)?;
    Ok(answers.iter().filter_map(|answer| read_rule(answer, table, chain)).collect())
}

fn dump(kind: u16, family: Family, attrs: Attrs) -> io::Result<Vec<Vec<u8>>> {
    let kind = SUBSYSTEM << 8 | kind;
    for sequence in 1..=DUMPS_MAX {
        let request = message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, (family.code(), 0), attrs.clone());
        match ask(&request, sequence) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answers => return answers,
        }
    }
    Err(io::Error::other("the rule set changes faster than it can be listed"))
}

/// The family and the attributes of an answer.
fn split(answer: &[u8]) -> Option<(u8, &[u8])> {
    let (general, body) = answer.get(HEADER_LEN..)?.split_at_checked(GENERAL_LEN)?;
    Some((*general.first()?, body))
}

fn read_chain(answer: &[u8]) -> Option<ListedChain> {
    let (family, body) = split(answer)?;
    let text = |kind| attrs::find(body, kind).and_then(attrs::as_text);
    let number = |bytes, kind| attrs::find(bytes, kind).and_then(attrs::as_number);
    Some(ListedChain {
        family,
        table: text(CHAIN_TABLE)?.to_owned(),
        name: text(CHAIN_NAME)?.to_owned(),
        hook: attrs::find(body, CHAIN_HOOK).and_then(|hook| number(hook, HOOK_NUMBER)),
        drops_by_policy: number(body, CHAIN_POLICY) == Some(POLICY_DROP),
    })
}

/// The request names table and chain, but not every kernel heeds that.
fn read_rule(answer: &[u8], table: &Table, chain: &str) -> Option<ListedRule> {
    let (family, body) = split(answer)?;
    let text = |kind| attrs::find(body, kind).and_then(attrs::as_text);
    let meant =
        family == table.family.code() && text(RULE_TABLE) == Some(&*table.name) && text(RULE_CHAIN) == Some(chain);
    let handle = u64::from_be_bytes(*attrs::find(body, RULE_HANDLE)?.first_chunk()?);
    let expressions = attrs::find(body, RULE_EXPRESSIONS).unwrap_or_default().to_vec();
    meant.then_some(ListedRule { handle, expressions })
}
