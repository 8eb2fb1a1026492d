//! The few expressions of nftables that our rules are made of. A rule is a chain of them: load something into the one
//! register used here, compare it, and when nothing differed, act.

use super::Subnet;
use super::attrs::Attrs;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;

const VERDICT_REGISTER: u32 = 0;
const REGISTER: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const ADDRESS_LEN: u32 = 4;
const META_IN_NAME: u32 = 6;
const META_OUT_NAME: u32 = 7;
const CONNECTION_STATE: u32 = 0;
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
/// An interface name as the kernel compares it, filled up with zeros.
const NAME_LEN: usize = 16;

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
    /// Leaves with the address of the interface that it leaves by.
    Masquerade,
}

/// A rule under construction.
#[derive(Debug, Clone, Default)]
pub struct Expressions(Attrs);

impl Expressions {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn interface(self, side: Side, is: Is, name: &str) -> Self {
        let key = match side {
            Side::In => META_IN_NAME,
            Side::Out => META_OUT_NAME,
        };
        let mut padded = [0; NAME_LEN];
        padded.iter_mut().zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
        self.push("meta", Attrs::new().number(1, REGISTER).number(2, key)).compare(is, &padded)
    }

    /// The address lies in the subnet.
    pub fn address(self, field: Field, subnet: Subnet) -> Self {
        let offset = match field {
            Field::Source => 12,
            Field::Destination => 16,
        };
        let load = Attrs::new().number(1, REGISTER).number(2, NETWORK_HEADER).number(3, offset).number(4, ADDRESS_LEN);
        self.push("payload", load).mask(&subnet.netmask().octets()).compare(Is::Same, &subnet.base().octets())
    }

    /// The packet belongs to a connection that was let through before, or answers to one.
    pub fn of_known_connection(self) -> Self {
        let load = Attrs::new().number(1, REGISTER).number(2, CONNECTION_STATE);
        // Unlike addresses, the state is a number of the host's byte order.
        self.push("ct", load).mask(&ESTABLISHED_OR_RELATED.to_ne_bytes()).compare(Is::Different, &[0; 4])
    }

    pub fn then(self, verdict: Verdict) -> Attrs {
        let done = |code| {
            let verdict = Attrs::new().number(VERDICT_CODE, code);
            let data = Attrs::new().nest(DATA_VERDICT, verdict);
            Attrs::new().number(1, VERDICT_REGISTER).nest(2, data)
        };
        match verdict {
            Verdict::Drop => self.push("immediate", done(0)).0,
            Verdict::Accept => self.push("immediate", done(1)).0,
            Verdict::Masquerade => self.push("masq", Attrs::new()).0,
        }
    }

    fn mask(self, mask: &[u8; 4]) -> Self {
        let data = |value: &[u8]| Attrs::new().bytes(DATA_VALUE, value);
        let attrs = Attrs::new()
            .number(1, REGISTER)
            .number(2, REGISTER)
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
        self.push("cmp", Attrs::new().number(1, REGISTER).number(2, operation).nest(3, data))
    }

    fn push(self, name: &str, data: Attrs) -> Self {
        let expression = Attrs::new().text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
        Self(self.0.nest(LIST_ELEMENT, expression))
    }
}
