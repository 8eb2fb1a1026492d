//! A block of IPv4 addresses in CIDR form: plain arithmetic, no effects.
//!
//! Used wherever the network of the engine is described or remembered; written and stored as `10.64.16.0/20`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a subnet; write BASE/PREFIX with no bit set after the prefix, for example 10.64.16.0/20")]
pub struct SubnetError {
    text: String,
}

/// A base address and the length of the prefix that its members share. Bits after the prefix are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// The subnet of the given prefix length that an address lies in; a prefix above 32 counts as 32.
    pub const fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        Self { base: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    pub fn base(&self) -> Ipv4Addr {
        self.base
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many addresses the block has, the base and the last one included.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }

    /// The last address, to which a broadcast goes.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | !mask(self.prefix))
    }

    /// The `n`th address, counted from the base as 0.
    pub fn nth(&self, n: u32) -> Option<Ipv4Addr> {
        (u64::from(n) < self.size()).then(|| Ipv4Addr::from_bits(self.base.to_bits() + n))
    }

    /// The inverse of `nth`.
    pub fn index_of(&self, address: Ipv4Addr) -> Option<u32> {
        self.contains(address).then(|| address.to_bits() - self.base.to_bits())
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.base.to_bits()
    }

    pub fn overlaps(&self, other: &Subnet) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// The addresses that an interface may have, in order: all but the base and the broadcast address.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let first = self.base.to_bits().saturating_add(1);
        (first..self.broadcast().to_bits()).map(Ipv4Addr::from_bits)
    }
}

const fn mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        prefix => u32::MAX << (32 - prefix as u32),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;
    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let parse = || {
            let (base, prefix) = text.split_once('/')?;
            let (base, prefix): (Ipv4Addr, u8) = (base.parse().ok()?, prefix.parse().ok()?);
            let subnet = Self::around(base, prefix);
            (subnet.base == base && subnet.prefix == prefix).then_some(subnet)
        };
        parse().ok_or_else(|| SubnetError { text: text.chars().take(64).collect() })
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;
    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect(text)
    }

    #[test]
    fn a_subnet_is_read_and_written_in_one_form() {
        for text in ["10.64.16.0/20", "0.0.0.0/0", "192.168.1.7/32"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        for bad in ["10.64.16.1/20", "10.64.16.0/33", "10.64.16.0", "10.64.16/20", "/20", ""] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad:?}");
        }
        assert_eq!(serde_json::to_string(&subnet("10.64.0.0/20")).expect("json"), "\"10.64.0.0/20\"");
        assert!(serde_json::from_str::<Subnet>("\"10.64.0.9/20\"").is_err());
    }

    #[test]
    fn addresses_are_counted_from_the_base() {
        let net = subnet("10.64.16.0/20");
        assert_eq!((net.size(), net.netmask()), (4096, Ipv4Addr::new(255, 255, 240, 0)));
        assert_eq!(net.nth(1), Some(Ipv4Addr::new(10, 64, 16, 1)));
        assert_eq!(net.nth(4095), Some(net.broadcast()));
        assert_eq!(net.nth(4096), None);
        assert_eq!(net.index_of(Ipv4Addr::new(10, 64, 17, 2)), Some(258));
        assert_eq!(net.index_of(Ipv4Addr::new(10, 64, 32, 0)), None);
        assert_eq!(net.addresses().count(), 4094);
        assert_eq!(subnet("10.0.0.4/32").addresses().count(), 0);
        assert_eq!(subnet("255.255.255.255/32").addresses().count(), 0);
    }

    #[test]
    fn overlap_holds_in_both_directions() {
        let (wide, narrow, other) = (subnet("10.0.0.0/8"), subnet("10.64.16.0/20"), subnet("10.64.32.0/20"));
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide) && narrow.overlaps(&narrow));
        assert!(!narrow.overlaps(&other) && !other.overlaps(&narrow));
    }
}
