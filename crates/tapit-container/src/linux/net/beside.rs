//! What other software on the host does to the traffic of our bridges, as sentences for people.
//!
//! A packet must pass every chain at a hook, so an accept of ours overrides nobody's drop. Where another table forwards
//! nothing by default, as Docker's does, instances reach neither the outside nor perhaps one another; the host reaches
//! them regardless. Somebody else's firewall is not changed here, only named.

use std::fs;

use super::docker;
use super::nft::{Family, Hook};
use super::nft_list::{self, ListedChain};

/// Set when bridged packets pass the IPv4 hooks too, for all bridges at once.
const BRIDGED_PASS_HOOKS: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const IPV4: u8 = 2;
const IPV4_AND_IPV6: u8 = 1;

/// What will not work, and why; empty where nothing is in the way. Rules of the old iptables (not its nftables version)
/// cannot be seen.
pub fn warnings() -> Vec<String> {
    let chains = match nft_list::chains(Family::Any) {
        Ok(chains) => chains,
        Err(error) => return vec![format!("cannot tell whether a firewall blocks the instances' traffic: {error}")],
    };
    let bridged = fs::read_to_string(BRIDGED_PASS_HOOKS).is_ok_and(|text| text.trim() == "1");
    blocking(&chains).map(|chain| describe(chain, bridged)).collect()
}

/// A chain of Docker's table is none when the table has the one where instances are let through.
fn blocking(chains: &[ListedChain]) -> impl Iterator<Item = &ListedChain> {
    let mended = chains.iter().any(docker::is_ours_to_use);
    chains.iter().filter(move |chain| blocks_forwarding(chain) && !(mended && docker::is_in_its_table(chain)))
}

fn blocks_forwarding(chain: &ListedChain) -> bool {
    let ipv4 = matches!(chain.family, IPV4 | IPV4_AND_IPV6);
    ipv4 && chain.hook == Some(Hook::Forward.number()) && chain.drops_by_policy
}

fn describe(chain: &ListedChain, bridged: bool) -> String {
    let among = if bridged { " nor one another" } else { "" };
    format!(
        "the firewall chain {} of the table {} drops forwarded packets that it has no rule for: instances may not reach \
         the outside{among}; requests from this host reach them",
        chain.name, chain.table
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(family: u8, hook: Option<u32>, drops_by_policy: bool) -> ListedChain {
        ListedChain { family, table: "filter".to_owned(), name: "FORWARD".to_owned(), hook, drops_by_policy }
    }

    #[test]
    fn dockers_policy_blocks_nothing_where_its_table_has_the_chain_for_others() {
        let forward = chain(IPV4, Some(2), true);
        let user = ListedChain { name: "DOCKER-USER".to_owned(), ..chain(IPV4, None, false) };
        let foreign = ListedChain { table: "firewall".to_owned(), ..forward.clone() };
        assert_eq!(blocking(std::slice::from_ref(&forward)).count(), 1);
        assert_eq!(blocking(&[forward.clone(), user.clone()]).count(), 0);
        assert_eq!(blocking(&[forward, user, foreign.clone()]).collect::<Vec<_>>(), [&foreign]);
    }

    #[test]
    fn only_an_ipv4_forward_chain_that_drops_by_default_blocks() {
        assert!(blocks_forwarding(&chain(IPV4, Some(2), true)));
        assert!(blocks_forwarding(&chain(IPV4_AND_IPV6, Some(2), true)));
        for harmless in
            [chain(IPV4, Some(2), false), chain(IPV4, Some(1), true), chain(10, Some(2), true), chain(IPV4, None, true)]
        {
            assert!(!blocks_forwarding(&harmless), "{harmless:?}");
        }
    }
}
