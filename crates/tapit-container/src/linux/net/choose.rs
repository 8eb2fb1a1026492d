//! Which subnet an app gets: a pure decision over what the host already uses.

use super::Subnet;
use super::links::{Assigned, Route};

/// Where to look, in this order. The first is used by few networks; the others are for hosts that route all of it
/// elsewhere, such as those in a private network of that size. No two addresses of them have the same last three bytes,
/// after which interfaces are named.
pub const POOLS: [Subnet; 3] = [
    Subnet::around(std::net::Ipv4Addr::new(10, 64, 0, 0), 10),
    Subnet::around(std::net::Ipv4Addr::new(172, 16, 0, 0), 12),
    Subnet::around(std::net::Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// Room for 1,021 instances of an app.
pub const PREFIX: u8 = 22;

/// A route to more than this says that packets may leave by it, not that somebody lives there: the default route, or
/// the two halves of it that VPN clients install.
const WIDEST_ROUTE: u8 = 8;

/// What others use of the host's address space. What belongs to the interface `own` does not count.
pub fn occupied(addresses: &[Assigned], routes: &[Route], own: Option<u32>) -> Vec<Subnet> {
    let addresses = addresses.iter().filter(|assigned| Some(assigned.link) != own).map(|assigned| assigned.subnet);
    let foreign = |route: &&Route| route.link.is_none() || route.link != own;
    let routes = routes.iter().filter(foreign).map(|route| route.subnet);
    addresses.chain(routes.filter(|subnet| subnet.prefix() >= WIDEST_ROUTE)).collect()
}

/// The first preferred subnet that is free, otherwise the first free one from a place that `seed` decides, so that
/// servers seldom meet and a server that lost its memory finds its old one again.
pub fn choose(seed: u32, preferred: &[Subnet], occupied: &[Subnet]) -> Option<Subnet> {
    let free = |subnet: &Subnet| !occupied.iter().any(|other| other.overlaps(subnet));
    let preferred = preferred.iter().filter(|subnet| is_an_apps(subnet)).copied();
    preferred.chain(POOLS.iter().flat_map(|pool| candidates(pool, seed))).find(free)
}

/// Whether an app can have it at all.
pub fn is_an_apps(subnet: &Subnet) -> bool {
    subnet.prefix() == PREFIX && POOLS.iter().any(|pool| pool.contains(subnet.base()))
}

/// Every subnet of a pool once, beginning at the seed's place.
fn candidates(pool: &Subnet, seed: u32) -> impl Iterator<Item = Subnet> {
    let (pool, count) = (*pool, 1u32 << (PREFIX - pool.prefix()));
    let size = 1u32 << (32 - PREFIX);
    let place = move |step: u32| (seed % count + step) % count;
    (0..count).filter_map(move |step| pool.nth(place(step) * size)).map(|base| Subnet::around(base, PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect(text)
    }

    #[test]
    fn the_seed_decides_where_the_search_begins() {
        assert_eq!(choose(0, &[], &[]), Some(subnet("10.64.0.0/22")));
        assert_eq!(choose(5, &[], &[]), Some(subnet("10.64.20.0/22")));
        assert_eq!(choose(4096 + 5, &[], &[]), Some(subnet("10.64.20.0/22")));
        assert_eq!(choose(5, &[], &[subnet("10.64.20.0/24")]), Some(subnet("10.64.24.0/22")));
    }

    #[test]
    fn the_search_goes_round_the_pool_and_then_to_the_next() {
        assert_eq!(choose(4095, &[], &[subnet("10.127.255.4/32")]), Some(subnet("10.64.0.0/22")));
        assert_eq!(choose(1, &[], &[subnet("10.64.0.0/11")]), Some(subnet("10.96.0.0/22")));
        assert_eq!(choose(1, &[], &[subnet("10.0.0.0/8")]), Some(subnet("172.16.4.0/22")));
        let private = [subnet("10.0.0.0/8"), subnet("172.16.0.0/12"), subnet("192.168.0.0/16")];
        assert_eq!(choose(1, &[], &private), None);
    }

    #[test]
    fn a_preferred_subnet_is_taken_when_it_is_free_and_possible() {
        let remembered = subnet("10.99.16.0/22");
        assert_eq!(choose(5, &[remembered], &[]), Some(remembered));
        assert_eq!(choose(5, &[remembered], &[subnet("10.99.16.0/24")]), Some(subnet("10.64.20.0/22")));
        for impossible in ["10.99.16.0/24", "8.8.0.0/22"] {
            assert_eq!(choose(5, &[subnet(impossible)], &[]), Some(subnet("10.64.20.0/22")), "{impossible}");
        }
    }

    #[test]
    fn addresses_of_different_pools_differ_in_their_last_three_bytes() {
        let low = |pool: &Subnet| (pool.base().to_bits() & 0xff_ffff, pool.broadcast().to_bits() & 0xff_ffff);
        for (i, one) in POOLS.iter().enumerate() {
            assert!(one.size() <= 1 << 24);
            for other in &POOLS[..i] {
                let ((a, b), (c, d)) = (low(one), low(other));
                assert!(b < c || d < a, "{one} and {other}");
            }
        }
    }

    #[test]
    fn own_things_and_default_routes_do_not_occupy() {
        let address = |link, text: &str| Assigned { link, address: subnet(text).base(), subnet: subnet(text) };
        let route = |link, text: &str| Route { subnet: subnet(text), link };
        let addresses = [address(1, "127.0.0.0/8"), address(7, "10.64.0.0/20")];
        let routes = [
            route(Some(2), "0.0.0.0/0"),
            route(Some(2), "0.0.0.0/1"),
            route(Some(7), "10.64.0.0/20"),
            route(Some(3), "10.65.0.0/16"),
            route(None, "10.66.0.0/16"),
        ];
        let seen = occupied(&addresses, &routes, Some(7));
        assert_eq!(seen, [subnet("127.0.0.0/8"), subnet("10.65.0.0/16"), subnet("10.66.0.0/16")]);
        assert_eq!(occupied(&addresses, &routes, None).len(), 5);
    }
}
