//! The network: whether it can be made, and what other software does to its traffic.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Check;
use crate::linux::net;
use crate::linux::verbs::TRY_NETWORK;

const NETWORK: &str = "network";
const FIREWALL: &str = "firewall";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

pub fn checks(exe: &Path) -> Vec<Check> {
    let mut checks = vec![made(exe), forwarding()];
    checks.extend(firewall());
    checks
}

/// Makes one, in a network namespace of a helper process that goes with it.
fn made(exe: &Path) -> Check {
    if !super::is_root() {
        return Check::unknown(NETWORK);
    }
    let tried = Command::new(exe).arg(TRY_NETWORK).stdin(Stdio::null()).output();
    let advice =
        "instances would have no network; load the kernel modules bridge, veth and nf_tables with nft_masq and nft_ct";
    match tried {
        Ok(output) if output.status.success() => {
            Check::ok(NETWORK, "a bridge, interface pairs and nftables rules with masquerading can be made")
        }
        Ok(output) => Check::missing(NETWORK, String::from_utf8_lossy(&output.stderr).trim().to_owned(), advice),
        Err(error) => Check::missing(NETWORK, format!("the helper program cannot be run: {error}"), advice),
    }
}

fn forwarding() -> Check {
    judge_forwarding(fs::read_to_string(FORWARDING).as_deref().unwrap_or_default())
}

fn judge_forwarding(text: &str) -> Check {
    const FEATURE: &str = "IPv4 forwarding";
    match text.trim() {
        "1" => Check::ok(FEATURE, "on"),
        "0" => Check::ok(FEATURE, "off; a server turns it on"),
        _ => Check::lacking(FEATURE, format!("{FORWARDING} cannot be read"), "instances may not reach the outside"),
    }
}

/// What drops the traffic of instances: one check for each, or one that says that nothing does.
pub fn firewall() -> Vec<Check> {
    if !super::is_root() {
        return vec![Check::unknown(FIREWALL)];
    }
    let found = net::warnings();
    if found.is_empty() {
        return vec![Check::ok(FIREWALL, "no other chain drops what is forwarded")];
    }
    let advice = "accept what comes from and goes to the bridge of tapit there (Docker: in its chain DOCKER-USER)";
    found.into_iter().map(|sentence| Check::lacking(FIREWALL, sentence, advice)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn forwarding_that_is_off_is_no_matter_since_a_server_turns_it_on() {
        assert_eq!(["1\n", "0\n", ""].map(|text| judge_forwarding(text).state), [State::Ok, State::Ok, State::Lacking]);
    }
}
