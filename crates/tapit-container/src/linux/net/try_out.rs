//! Tries whether a network can be made on this kernel, without touching the host's.
//!
//! For a helper process alone: it enters a network namespace of its own, and all that it makes goes with it.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::sched::{CloneFlags, unshare};

use super::links::{self, Pair};
use super::rtnl::Rtnl;
use super::{HostNet, NetError};

const TAG: &str = "d0c703";
const MAC: links::Mac = [2, 0, 0, 0, 0, 1];

/// Ends with 0 when it can, else says why not on the standard error.
pub fn main() -> ExitCode {
    match make() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("a network namespace cannot be made: {error}"))?;
    let bridge = bridge().map_err(|error| tapit_model::describe(&error))?;
    pair(&bridge).map_err(|error| format!("an interface pair cannot be made: {error}"))
}

/// One as for an app, with the rules.
fn bridge() -> Result<String, NetError> {
    let net = HostNet::new(TAG)?;
    let mut change = net.begin()?;
    let app = net.app(0, change.choose(0, None)?);
    change.establish(&app)?;
    drop(change);
    net.enforce(std::slice::from_ref(&app))?;
    Ok(app.bridge)
}

fn pair(bridge: &str) -> std::io::Result<()> {
    let mut rtnl = Rtnl::open()?;
    let bridge = links::find(&mut rtnl, bridge)?.ok_or(std::io::ErrorKind::NotFound)?.index;
    let own = File::open("/proc/self/ns/net")?;
    links::create_pair(&mut rtnl, &Pair { name: "try0", bridge, peer: "try1", peer_mac: MAC, peer_netns: own.as_fd() })
}
