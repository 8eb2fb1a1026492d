//! The few expressions of nftables that our rules are made of. A rule is a chain of them: load something into a register,
//! compare it, and when the comparison holds go on; the last one acts.

use super::Subnet;
use super::attrs::Attrs;
use super::choose::PREFIX;
use super::nft::Set;

pub const LIST_ELEMENT: u16 = 1;
pub const EXPRESSION_NAME: u16 = 1;
pub const EXPRESSION_DATA: u16 = 2;
pub const DATA_VALUE: u16 = 1;
pub const DATA_VERDICT: u16 = 2;
pub const VERDICT_CODE: u16 = 1;

const VERDICT_REGISTER: u32 = 0;
/// The first register, of 16 bytes, and the one that follows it: together they are the key of a pair.
const FIRST: u32 = 1;
const SECOND: u32 = 2;
const NETWORK_HEADER: u32 = 1;
const ADDRESS_LEN: u32 = 4;
const LOOKUP_INVERTED: u32 = 1;
pub const META_IN_NAME: u32 = 6;
pub const META_OUT_NAME: u32 = 7;
const CONNECTION_STATE: u32 = 0;
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
/// An interface name as the kernel compares it, filled up with zeros.
pub const NAME_LEN: usize = 16;

/// How a loaded value must relate to the given one for the rule to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    Same,
    Different,
}

/// Where an address stands in the IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Source,
    Destination,
}

/// Which interface of a packet is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    In,
    Out,
}

/// What becomes of a packet that met all conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    /// Back to the chain that called this one.
    Return,
    /// Leaves with the address of the interface that it leaves by.
    Masquerade,
}

pub const CODE_DROP: u32 = 0;
pub const CODE_ACCEPT: u32 = 1;
/// -5 as the kernel writes it.
pub const CODE_RETURN: u32 = 0u32.wrapping_sub(5);

/// A rule under construction.
#[derive(Debug, Clone, Default)]
pub struct Expressions(Attrs);

impl Expressions {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn interface(self, side: Side, is: Is, name: &str) -> Self {
        self.load_name(side).compare(is, &padded(name))
    }

    /// The interface's name begins with the text.
    pub fn interface_begins(self, side: Side, text: &str) -> Self {
        self.load_name(side).compare(Is::Same, text.as_bytes())
    }

    /// The address lies in the subnet.
    pub fn address(self, field: Field, subnet: Subnet) -> Self {
        self.load_address(field, FIRST)
            .mask(FIRST, &subnet.netmask().octets())
            .compare(Is::Same, &subnet.base().octets())
    }

    /// The block of an app's size that the address lies in is one of the set.
    pub fn block(self, field: Field, set: Set) -> Self {
        let lookup = Attrs::new().text(1, set.name).number(2, FIRST);
        self.load_block(field, FIRST).push("lookup", lookup)
    }

    /// The interface that the packet came by, with the block that the address lies in, is none of the pairs in the set.
    pub fn not_paired(self, field: Field, set: Set) -> Self {
        let lookup = Attrs::new().text(1, set.name).number(2, FIRST).number(5, LOOKUP_INVERTED);
        self.load_name(Side::In).load_block(field, SECOND).push("lookup", lookup)
    }

    /// The packet neither belongs to a connection that was let through before, nor answers to one.
    pub fn of_no_known_connection(self) -> Self {
        let load = Attrs::new().number(1, FIRST).number(2, CONNECTION_STATE);
        // Unlike addresses, the state is a number of the host's byte order.
        self.push("ct", load).mask(FIRST, &ESTABLISHED_OR_RELATED.to_ne_bytes()).compare(Is::Same, &[0; 4])
    }

    /// Counts, as every rule does that the `iptables` program makes.
    pub fn counted(self) -> Self {
        self.push("counter", Attrs::new())
    }

    pub fn then(self, verdict: Verdict) -> Attrs {
        let done = |code| {
            let verdict = Attrs::new().number(VERDICT_CODE, code);
            let data = Attrs::new().nest(DATA_VERDICT, verdict);
            Attrs::new().number(1, VERDICT_REGISTER).nest(2, data)
        };
        match verdict {
            Verdict::Drop => self.push("immediate", done(CODE_DROP)).0,
            Verdict::Accept => self.push("immediate", done(CODE_ACCEPT)).0,
            Verdict::Return => self.push("immediate", done(CODE_RETURN)).0,
            Verdict::Masquerade => self.push("masq", Attrs::new()).0,
        }
    }

    fn load_name(self, side: Side) -> Self {
        let key = match side {
            Side::In => META_IN_NAME,
            Side::Out => META_OUT_NAME,
        };
        self.push("meta", Attrs::new().number(1, FIRST).number(2, key))
    }

    fn load_address(self, field: Field, register: u32) -> Self {
        let offset = match field {
            Field::Source => 12,
            Field::Destination => 16,
        };
        let load = Attrs::new().number(1, register).number(2, NETWORK_HEADER).number(3, offset).number(4, ADDRESS_LEN);
        self.push("payload", load)
    }

    fn load_block(self, field: Field, register: u32) -> Self {
        let block = Subnet::around(std::net::Ipv4Addr::UNSPECIFIED, PREFIX);
        self.load_address(field, register).mask(register, &block.netmask().octets())
    }

    fn mask(self, register: u32, mask: &[u8; 4]) -> Self {
        let data = |value: &[u8]| Attrs::new().bytes(DATA_VALUE, value);
        let attrs = Attrs::new()
            .number(1, register)
            .number(2, register)
            .number(3, ADDRESS_LEN)
            .nest(4, data(mask))
            .nest(5, data(&[0; 4]));
        self.push("bitwise", attrs)
    }

    fn compare(self, is: Is, value: &[u8]) -> Self {
        let operation = match is {
            Is::Same => 0,
            Is::Different => 1,
        };
        let data = Attrs::new().bytes(DATA_VALUE, value);
        self.push("cmp", Attrs::new().number(1, FIRST).number(2, operation).nest(3, data))
    }

    fn push(self, name: &str, data: Attrs) -> Self {
        let expression = Attrs::new().text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
        Self(self.0.nest(LIST_ELEMENT, expression))
    }
}

/// A name as the kernel compares it.
pub fn padded(name: &str) -> [u8; NAME_LEN] {
    let mut padded = [0; NAME_LEN];
    padded.iter_mut().zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
    padded
}
