//! The network of the embedded engine: a bridge with a gateway address per server, an interface pair and an address per
//! instance, and an nftables table for traffic to the outside.
//!
//! The server calls `HostNet::ensure` at start-up and `HostNet::remove` at tear-down, both off its async threads; the
//! shim calls `plug` for its instance between create and start. All of it speaks netlink with the kernel, synchronously,
//! and starts no program. It does not resolve names, nor keep apps from one another, nor know what an instance is.
//!
//! Decisions are in `choose`, `pool` and `rules`; `host`, `plug` and `beside` act; `links` and `nft` say single things to
//! the kernel over `rtnl` and `wire`, in the bytes that `attrs` and `expr` write.

mod attrs;
mod beside;
mod choose;
mod error;
mod expr;
mod host;
mod links;
mod lock;
mod nft;
mod plug;
mod pool;
mod rtnl;
mod rules;
mod subnet;
#[cfg(test)]
mod tests;
mod wire;

pub use beside::warnings;
pub use error::NetError;
pub use host::{HostNet, delete_link, list_veths};
pub use plug::{Attach, plug};
pub use pool::AddressPool;
pub use subnet::{Subnet, SubnetError};
