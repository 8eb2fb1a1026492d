//! The network of the embedded engine: a bridge with a subnet and a gateway address per app, an interface pair and an
//! address per instance, and an nftables table per server that keeps apps from one another and lets them out.
//!
//! The server changes bridges under `HostNet::begin` and calls `HostNet::enforce` whenever the set of apps has changed,
//! and `HostNet::remove` at tear-down, all off its async threads; the shim calls `plug` for its instance between create
//! and start. All of it speaks netlink with the kernel, synchronously, and starts no program. It does not resolve names,
//! nor remember which app has which network, nor know what an instance is.
//!
//! Decisions are in `choose`, `pool` and `rules`; `host`, `plug`, `docker` and `beside` act; `links`, `nft` and `nft_list`
//! say single things to the kernel over `rtnl` and `wire`, in the bytes that `attrs` and `expr` write.

mod attrs;
mod beside;
mod choose;
mod docker;
mod error;
mod expr;
mod host;
mod links;
mod lock;
mod nft;
mod nft_list;
mod plug;
mod pool;
mod rtnl;
mod rules;
mod subnet;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_apps;
pub(super) mod try_out;
mod wire;

pub use beside::warnings;
pub use choose::is_an_apps as is_subnet_of_an_app;
pub use error::NetError;
pub use host::{AppNet, Change, HostNet, delete_link, list_veths};
pub use plug::{Attach, plug};
pub use pool::AddressPool;
pub use subnet::{Subnet, SubnetError};
