//! Which addresses of a subnet are taken. A value held by the engine and rebuilt at start-up from the instances that
//! it adopts; it makes no network calls and is not stored.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Subnet;

/// The addresses that instances of one app may have.
///
/// It hands them out in turn and comes back to a freed one only after going round the whole subnet: a peer that still
/// holds the address of an instance that has ended reaches nothing rather than a stranger.
#[derive(Debug, Clone)]
pub struct AddressPool {
    subnet: Subnet,
    taken: BTreeSet<Ipv4Addr>,
    /// Where the next search begins, counted from the base.
    next: u32,
}

impl AddressPool {
    /// The gateway's place, which is never handed out, nor are the base and the broadcast address.
    const GATEWAY: u32 = 1;

    pub fn new(subnet: Subnet) -> Self {
        Self { subnet, taken: BTreeSet::new(), next: Self::GATEWAY + 1 }
    }

    /// The next free address, or `None` when all are taken.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let (first, end) = self.span();
        let ahead = (self.next.max(first)..end).chain(first..self.next.min(end));
        let (place, address) = ahead
            .filter_map(|place| self.subnet.nth(place).map(|address| (place, address)))
            .find(|(_, address)| !self.taken.contains(address))?;
        self.taken.insert(address);
        self.next = place + 1;
        Some(address)
    }

    /// Marks the address of an adopted instance. Answers `false` where it is already taken or not the pool's to give.
    pub fn reserve(&mut self, address: Ipv4Addr) -> bool {
        let (first, end) = self.span();
        match self.subnet.index_of(address) {
            Some(place) if (first..end).contains(&place) => {
                // What was handed out last before a restart is not known any more; the highest is the best guess.
                self.next = self.next.max(place + 1);
                self.taken.insert(address)
            }
            Some(_) | None => false,
        }
    }

    /// Gives an address back. One that is not taken stays so.
    pub fn free(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }

    /// Whether there is one more to hand out.
    pub fn has_room(&self) -> bool {
        let (first, end) = self.span();
        self.taken.len() < (end - first) as usize
    }

    /// Nobody has one.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub fn is_taken(&self, address: Ipv4Addr) -> bool {
        self.taken.contains(&address)
    }

    /// The first place to hand out and the one after the last.
    fn span(&self) -> (u32, u32) {
        let broadcast = u32::try_from(self.subnet.size() - 1).unwrap_or(u32::MAX);
        (Self::GATEWAY + 1, broadcast.max(Self::GATEWAY + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(text: &str) -> AddressPool {
        AddressPool::new(text.parse().expect(text))
    }

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 64, 0, last)
    }

    #[test]
    fn base_gateway_and_broadcast_are_never_handed_out() {
        let mut pool = pool("10.64.0.0/29");
        assert!(pool.has_room());
        let all: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(all, [ip(2), ip(3), ip(4), ip(5), ip(6)]);
        assert_eq!((pool.take(), pool.has_room()), (None, false));
    }

    #[test]
    fn a_freed_address_comes_back_only_after_the_others() {
        let mut pool = pool("10.64.0.0/29");
        let first = pool.take().expect("an address");
        pool.free(first);
        let rest: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(rest, [ip(3), ip(4), ip(5), ip(6), first]);
    }

    #[test]
    fn a_reserved_address_is_not_handed_out() {
        let mut pool = pool("10.64.0.0/29");
        assert!(pool.reserve(ip(4)) && pool.is_taken(ip(4)));
        assert!(!pool.reserve(ip(4)), "twice");
        for not_ours in [ip(0), ip(1), ip(7), ip(8)] {
            assert!(!pool.reserve(not_ours), "{not_ours}");
        }
        let all: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(all, [ip(5), ip(6), ip(2), ip(3)]);
    }

    #[test]
    fn a_subnet_without_room_hands_out_nothing() {
        for text in ["10.64.0.0/30", "10.64.0.0/31", "10.64.0.0/32"] {
            let mut pool = pool(text);
            let count = std::iter::from_fn(|| pool.take()).count();
            assert_eq!(count, usize::from(text.ends_with("/30")), "{text}");
        }
    }

    #[test]
    fn a_thousand_turns_leak_no_address() {
        let mut pool = pool("10.64.0.0/24");
        for _ in 0..1000 {
            let taken: Vec<_> = (0..253).map(|_| pool.take().expect("room")).collect();
            assert_eq!(pool.take(), None);
            taken.into_iter().for_each(|address| pool.free(address));
        }
    }
}
