//! What can go wrong with the network: one variant per act, with the name of the thing it was done to.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::Subnet;

#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("{tag:?} is not a network tag; six lower-case hexadecimal digits are needed")]
    Tag { tag: String },

    #[error("cannot lock {path}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("{path} stayed locked by another server for {seconds} s")]
    LockBusy { path: PathBuf, seconds: u64 },

    #[error("cannot open a netlink socket")]
    Open { source: io::Error },
    #[error("cannot list the {what} of this host")]
    List { what: &'static str, source: io::Error },
    #[error("cannot look up the interface {link}")]
    Find { link: String, source: io::Error },
    #[error("there is no interface {link}")]
    Missing { link: String },

    #[error("every subnet of {pools} overlaps an address or a route of this host")]
    NoFreeSubnet { pools: String },
    #[error("the interface {link} exists and is not a bridge; remove or rename it")]
    NotABridge { link: String },
    #[error("cannot create the bridge {bridge}")]
    CreateBridge { bridge: String, source: io::Error },
    #[error("cannot give the address {address} of {subnet} to {link}")]
    AddAddress { link: String, address: Ipv4Addr, subnet: Subnet, source: io::Error },
    #[error("cannot take the address {address} from {link}")]
    RemoveAddress { link: String, address: Ipv4Addr, source: io::Error },
    #[error("cannot set the interface {link} up")]
    SetUp { link: String, source: io::Error },
    #[error("cannot switch on forwarding of packets by {path}")]
    Forwarding { path: PathBuf, source: io::Error },
    #[error("cannot install the nftables table {table}")]
    InstallTable { table: String, source: io::Error },
    #[error("cannot remove the nftables table {table}")]
    RemoveTable { table: String, source: io::Error },
    #[error("cannot let instances through the chain {chain}")]
    Docker { chain: &'static str, source: io::Error },
    #[error("cannot delete the interface {link}")]
    DeleteLink { link: String, source: io::Error },

    #[error("cannot open the network namespace {path}")]
    OpenNetns { path: PathBuf, source: io::Error },
    #[error("{path} is the server's own network namespace; the container must have one of its own")]
    OwnNetns { path: PathBuf },
    #[error("cannot enter the network namespace {path}")]
    EnterNetns { path: PathBuf, source: nix::Error },
    #[error("cannot return from the network namespace {path}; this thread must end")]
    LeaveNetns { path: PathBuf, source: nix::Error },
    #[error("cannot create the interface pair {veth}")]
    CreateVeth { veth: String, source: io::Error },
    #[error("the interface {link} did not become operational within {seconds} s")]
    NotOperational { link: String, seconds: u64 },
    #[error("cannot set the default route by {gateway}")]
    AddRoute { gateway: Ipv4Addr, source: io::Error },
}
