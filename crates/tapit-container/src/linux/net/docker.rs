//! Beside Docker: lets the packets of our bridges pass its firewall.
//!
//! Docker forwards nothing by default, for the whole host, and drops with that what goes between instances and the
//! outside, and where bridged packets are filtered also what goes between instances of one app. An accept in a table of
//! our own does not help, because every table is asked. Docker leaves one chain to others, `DOCKER-USER`; our rules stand
//! there in the very form in which the `iptables` program writes them, so that it goes on to list and save them.
//!
//! ```text
//! -i tpTAG-+ -o docker0 -j RETURN      Docker's own containers stay as closed as Docker wants them
//! -i tpTAG-+ -j ACCEPT
//! -o tpTAG-+ -j ACCEPT                 what may not go there was dropped before, by the rules of `rules.rs`
//! ```
//!
//! Where there is no such chain nothing is done. Docker may come later, or somebody may empty the chain: the server
//! looks again now and then.

use std::io;

use super::attrs;
use super::expr::{
    CODE_ACCEPT, CODE_RETURN, DATA_VALUE, DATA_VERDICT, EXPRESSION_DATA, EXPRESSION_NAME, Expressions, Is,
    META_IN_NAME, META_OUT_NAME, NAME_LEN, Side, VERDICT_CODE, Verdict,
};
use super::links::{Kind, Link};
use super::nft::{self, Family, Place, Step, Table};
use super::nft_list::{self, ListedChain, ListedRule};
use super::rules;

pub const CHAIN: &str = "DOCKER-USER";
const TABLE: &str = "filter";

/// A rule of ours, as far as it can differ.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Passage {
    from: Option<Interface>,
    to: Option<Interface>,
    verdict: Verdict,
}

/// Which interfaces a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Interface {
    Named(String),
    Begins(String),
}

/// Makes our rules stand in the chain, if there is one, for each of the prefixes that an interface has.
pub fn let_through(prefixes: &[String], links: &[Link]) -> io::Result<()> {
    if !nft_list::chains(Family::Ipv4)?.iter().any(is_ours_to_use) {
        return Ok(());
    }
    let in_use = |prefix: &&String| links.iter().any(|link| link.name.starts_with(prefix.as_str()));
    let wanted = prefixes.iter().filter(in_use).flat_map(|prefix| passages(prefix, &dockers_bridges(links)));
    let wanted: Vec<_> = wanted.collect();
    replace(&nft_list::rules(&table(), CHAIN)?, prefixes, &wanted)
}

/// Removes our rules.
pub fn withdraw(prefixes: &[String]) -> io::Result<()> {
    if !nft_list::chains(Family::Ipv4)?.iter().any(is_ours_to_use) {
        return Ok(());
    }
    replace(&nft_list::rules(&table(), CHAIN)?, prefixes, &[])
}

pub fn is_ours_to_use(chain: &ListedChain) -> bool {
    is_in_its_table(chain) && chain.name == CHAIN
}

pub fn is_in_its_table(chain: &ListedChain) -> bool {
    chain.family == Family::Ipv4.code() && chain.table == TABLE
}

fn table() -> Table {
    rules::ipv4(TABLE)
}

/// In one transaction, and only when something differs. At the head of the chain, since what stands there is meant for
/// Docker's containers.
fn replace(listed: &[ListedRule], prefixes: &[String], wanted: &[Passage]) -> io::Result<()> {
    let ours: Vec<_> = listed
        .iter()
        .filter_map(|rule| Some((rule.handle, read(&rule.expressions)?)))
        .filter(|(_, passage)| prefixes.iter().any(|prefix| passage.is_about(prefix)))
        .collect();
    if ours.iter().map(|(_, passage)| passage).eq(wanted) {
        return Ok(());
    }
    let gone = ours.iter().map(|(handle, _)| Step::DeleteRule { table: table(), chain: CHAIN, handle: *handle });
    let new = wanted.iter().rev().map(|passage| Step::AddRule {
        table: table(),
        chain: CHAIN,
        place: Place::First,
        expressions: passage.write(),
    });
    nft::commit(&gone.chain(new).collect::<Vec<_>>())
}

/// Docker names its bridges `docker0` and `br-` with twelve digits of an id.
fn dockers_bridges(links: &[Link]) -> Vec<String> {
    let is_id = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let dockers = |name: &str| name == "docker0" || name.strip_prefix("br-").is_some_and(is_id);
    let bridges = links.iter().filter(|link| link.kind == Kind::Bridge && dockers(&link.name));
    bridges.map(|link| link.name.clone()).collect()
}

fn passages(prefix: &str, dockers: &[String]) -> Vec<Passage> {
    let ours = || Some(Interface::Begins(prefix.to_owned()));
    let closed =
        |name: &String| Passage { from: ours(), to: Some(Interface::Named(name.clone())), verdict: Verdict::Return };
    let outward = Passage { from: ours(), to: None, verdict: Verdict::Accept };
    let inward = Passage { from: None, to: ours(), verdict: Verdict::Accept };
    dockers.iter().map(closed).chain([outward, inward]).collect()
}

impl Passage {
    fn is_about(&self, prefix: &str) -> bool {
        let begins = |side: &Option<Interface>| matches!(side, Some(Interface::Begins(text)) if text == prefix);
        begins(&self.from) || begins(&self.to)
    }

    fn write(&self) -> attrs::Attrs {
        let add = |rule: Expressions, side, interface: &Option<Interface>| match interface {
            Some(Interface::Named(name)) => rule.interface(side, Is::Same, name),
            Some(Interface::Begins(text)) => rule.interface_begins(side, text),
            None => rule,
        };
        let rule = add(Expressions::new(), Side::In, &self.from);
        add(rule, Side::Out, &self.to).counted().then(self.verdict)
    }
}

/// A rule that consists of nothing but interfaces and a verdict; `None` for all others, which are somebody else's.
fn read(expressions: &[u8]) -> Option<Passage> {
    let (mut from, mut to, mut loaded, mut verdict) = (None, None, None, None);
    for (_, expression) in attrs::each(expressions) {
        let data = attrs::find(expression, EXPRESSION_DATA).unwrap_or_default();
        match attrs::find(expression, EXPRESSION_NAME).and_then(attrs::as_text)? {
            "meta" => loaded = Some(attrs::find(data, 2).and_then(attrs::as_number)?),
            "cmp" => {
                let same = attrs::find(data, 2).and_then(attrs::as_number)? == 0;
                let interface = read_interface(attrs::find(attrs::find(data, 3)?, DATA_VALUE)?)?;
                match loaded.take()? {
                    META_IN_NAME if same => from = Some(interface),
                    META_OUT_NAME if same => to = Some(interface),
                    _ => return None,
                }
            }
            "counter" => {}
            "immediate" => {
                let code = attrs::find(attrs::find(attrs::find(data, 2)?, DATA_VERDICT)?, VERDICT_CODE)?;
                verdict = match attrs::as_number(code)? {
                    CODE_ACCEPT => Some(Verdict::Accept),
                    CODE_RETURN => Some(Verdict::Return),
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
    Some(Passage { from, to, verdict: verdict? })
}

/// A whole name is compared with its end, the beginning of one without.
fn read_interface(value: &[u8]) -> Option<Interface> {
    let text = attrs::as_text(value)?.to_owned();
    let whole = value.len() == NAME_LEN || value.contains(&0);
    Some(if whole { Interface::Named(text) } else { Interface::Begins(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let named = |name: &str| name.to_owned();
        for passage in passages("tp00000a-", &[named("docker0"), named("br-0123456789ab")]) {
            assert_eq!(read(&passage.write().into_bytes()), Some(passage.clone()));
            assert!(passage.is_about("tp00000a-") && !passage.is_about("tp00000b-") && !passage.is_about("tp"));
        }
    }

    #[test]
    fn a_rule_with_more_in_it_is_somebody_elses() {
        let more = Expressions::new().interface_begins(Side::In, "tp00000a-").of_no_known_connection();
        assert_eq!(read(&more.then(Verdict::Accept).into_bytes()), None);
        let other = Expressions::new().interface_begins(Side::In, "tp00000a-").then(Verdict::Drop);
        assert_eq!(read(&other.into_bytes()), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn dockers_bridges_are_known_by_their_names() {
        let link = |name: &str, kind| Link {
            index: 1,
            name: name.to_owned(),
            kind,
            controller: None,
            up: true,
            operational: true,
        };
        let links = [
            link("docker0", Kind::Bridge),
            link("br-0123456789ab", Kind::Bridge),
            link("br-lan", Kind::Bridge),
            link("br-0123456789ac", Kind::Other),
        ];
        assert_eq!(dockers_bridges(&links), ["docker0", "br-0123456789ab"]);
    }
}
