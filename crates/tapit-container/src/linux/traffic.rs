//! What went through the network interfaces of this host, as the kernel counts it.
//!
//! One file tells of all interfaces, so that reading two hundred instances costs no more than reading one.

use std::collections::BTreeMap;

use tapit_model::NetworkUsage;

const TABLE: &str = "/proc/self/net/dev";

/// Of every interface of the host, seen from the other end of the pair: what the host's end sends, the instance receives.
/// Empty where the kernel does not say.
pub fn by_interface() -> BTreeMap<String, NetworkUsage> {
    parse(&std::fs::read_to_string(TABLE).unwrap_or_default())
}

/// A line is `NAME: ` and eight numbers each of receiving and sending: bytes, packets, errors, dropped, and four more.
fn parse(table: &str) -> BTreeMap<String, NetworkUsage> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
        let [
            sent_bytes,
            sent_packets,
            _,
            sent_dropped,
            _,
            _,
            _,
            _,
            received_bytes,
            received_packets,
            _,
            received_dropped,
            ..,
        ] = numbers[..]
        else {
            return None;
        };
        let usage =
            NetworkUsage { received_bytes, received_packets, received_dropped, sent_bytes, sent_packets, sent_dropped };
        Some((name.trim().to_owned(), usage))
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hosts_end_sends_is_what_the_instance_receives() {
        let table = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 0 0 0 0 0 0 1 2 0 0 0 0 0 0
tpt12: 100 3 0 1 0 0 0 0 2000 20 0 4 0 0 0 0
broken: 1 2 3
";
        let found = parse(table);
        let expected = NetworkUsage {
            received_bytes: 2000,
            received_packets: 20,
            received_dropped: 4,
            sent_bytes: 100,
            sent_packets: 3,
            sent_dropped: 1,
        };
        assert_eq!(found.get("tpt12"), Some(&expected));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["lo", "tpt12"]);
    }
}
