//! Many apps on one host: what keeps them apart, and the host's other firewalls beside them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use super::host::HostNet;
use super::links::{self, Assigned};
use super::nft::{self, Chain, Family, Hook, Step, Table};
use super::tests::{BRIEF, Machine, PATIENT};
use super::{AppNet, Attach, Subnet, beside, rules};

fn member(host: &Machine, net: &AppNet, place: u32) -> (Machine, Ipv4Addr) {
    let (machine, ip) = (Machine::new(), net.subnet.nth(place).expect("an address"));
    host.plug(&machine, &net.attach(ip)).expect("plug");
    (machine, ip)
}

/// Whether a datagram gets from one machine to an address of another.
fn datagram_arrives(from: &Machine, to: &Machine, ip: Ipv4Addr) -> bool {
    let socket = to.run(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
    socket.set_read_timeout(Some(BRIEF)).expect("a limit");
    let port = socket.local_addr().expect("an address").port();
    from.run(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
        // An unreachable neighbour may be told at once; that is no arrival either.
        let _ = socket.send_to(b"hello", (ip, port));
    });
    socket.recv(&mut [0; 8]).is_ok()
}

#[test]
fn instances_of_an_app_reach_one_another_and_no_other_app() {
    let host = Machine::new();
    let nets = host.apps("000020", 2);
    let (one, _) = member(&host, &nets[0], 2);
    let (sibling, near) = member(&host, &nets[0], 3);
    let (stranger, far) = member(&host, &nets[1], 2);
    assert!(one.call(near, sibling.answer_once(), PATIENT).is_ok());
    assert!(datagram_arrives(&one, &sibling, near));
    let blocked = one.call(far, stranger.answer_once(), BRIEF).expect_err("another app");
    assert_eq!(blocked.kind(), ErrorKind::TimedOut);
    assert!(!datagram_arrives(&one, &stranger, far));

    // What answers names for an app answers nobody else's instances.
    assert!(one.call(nets[0].gateway, host.answer_once(), PATIENT).is_ok());
    let blocked = one.call(nets[1].gateway, host.answer_once(), BRIEF).expect_err("another app's gateway");
    assert_eq!(blocked.kind(), ErrorKind::TimedOut);
    assert!(!datagram_arrives(&one, &host, nets[1].gateway));

    // Without the rules they would.
    host.run(|| nft::commit(&rules::remove(rules::ipv4("tapit-000020")))).expect("no table");
    assert!(one.call(far, stranger.answer_once(), PATIENT).is_ok());

    // Whoever flushed them does not keep them away for long.
    host.run(move || HostNet::new("000020").and_then(|host| host.renew(&nets))).expect("rules");
    assert!(one.call(far, stranger.answer_once(), BRIEF).is_err());
}

#[test]
fn an_app_that_takes_another_one_for_a_neighbour_gets_no_answer() {
    let host = Machine::new();
    let nets = host.apps("000021", 2);
    let (stranger, far) = member(&host, &nets[1], 2);
    let liar = Machine::new();
    let ip = nets[0].subnet.nth(2).expect("an address");
    // To this machine all of the pool is on its own wire, so it asks there whose an address is.
    host.plug(&liar, &Attach { prefix: 10, ..nets[0].attach(ip) }).expect("plug");
    assert!(liar.call(far, stranger.answer_once(), BRIEF).is_err());
    assert!(!datagram_arrives(&liar, &stranger, far));
}

#[test]
fn apps_of_different_servers_are_kept_apart_as_well() {
    let host = Machine::new();
    let (mine, theirs) = (host.apps("000022", 1).remove(0), host.apps("000023", 1).remove(0));
    let (one, near) = member(&host, &mine, 2);
    let (other, far) = member(&host, &theirs, 2);
    assert!(one.call(far, other.answer_once(), BRIEF).is_err());
    assert!(other.call(near, one.answer_once(), BRIEF).is_err());
    assert!(one.call(theirs.gateway, host.answer_once(), BRIEF).is_err());
}

#[test]
fn a_source_that_is_not_the_apps_is_dropped() {
    let host = Machine::new();
    let nets = host.apps("000024", 2);
    let (liar, _) = member(&host, &nets[0], 2);
    let lie = nets[1].subnet.nth(9).expect("an address");
    let socket = host.run(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
    socket.set_read_timeout(Some(BRIEF)).expect("a limit");
    let (port, gateway) = (socket.local_addr().expect("an address").port(), nets[0].gateway);
    liar.rtnl(move |rtnl| {
        links::add_address(rtnl, Assigned { link: 1, address: lie, subnet: Subnet::around(lie, 32) })
    });
    let say = move |from: Ipv4Addr| {
        UdpSocket::bind((from, 0)).and_then(|socket| socket.send_to(b"hello", (gateway, port))).expect("sent")
    };
    liar.run(move || say(lie));
    assert!(socket.recv(&mut [0; 8]).is_err(), "a lie");
    liar.run(move || say(Ipv4Addr::UNSPECIFIED));
    assert!(socket.recv(&mut [0; 8]).is_ok(), "the truth");
}

#[test]
fn subnets_are_chosen_beside_what_the_host_has() {
    let host = Machine::new();
    // Two apps' worth right where the search begins, and the block after the next.
    host.lan("lan", "10.64.148.1/21");
    host.lan("lab", "10.64.156.1/23");
    let nets = host.apps("000025", 3);
    let bases: Vec<_> = nets.iter().map(|net| net.subnet.to_string()).collect();
    assert_eq!(bases, ["10.64.152.0/22", "10.64.160.0/22", "10.64.164.0/22"]);
}

#[test]
fn a_thousand_apps_come_and_go_and_leave_nothing() {
    let host = Machine::new();
    let before = host.inventory();
    let nets = host.apps("000026", 1_000);
    let mut subnets: Vec<_> = nets.iter().map(|net| net.subnet).collect();
    subnets.sort();
    assert!(subnets.windows(2).all(|pair| !pair[0].overlaps(&pair[1])));
    let (last, ip) = member(&host, &nets[999], 2);
    assert!(host.call(ip, last.answer_once(), PATIENT).is_ok());
    let (first, near) = member(&host, &nets[0], 2);
    assert!(last.call(near, first.answer_once(), BRIEF).is_err());
    host.run(move || {
        let host = HostNet::new("000026").expect("a tag");
        nets.iter().try_for_each(|net| host.dissolve(net)).expect("gone");
        assert!(host.numbers().expect("a list").is_empty());
        host.enforce(&[]).expect("no apps");
        host.remove().expect("removed");
    });
    drop((first, last));
    assert_eq!(host.inventory(), before);
}

#[test]
fn the_bridge_of_an_older_server_works_on_until_teardown() {
    let host = Machine::new();
    host.lan("tapit-000027", "10.65.0.1/20");
    let old = |place: u8| {
        let ip = Ipv4Addr::new(10, 65, 9, place);
        let (bridge, veth, gateway) =
            ("tapit-000027".to_owned(), format!("tv000027-{place}"), Ipv4Addr::new(10, 65, 0, 1));
        let machine = Machine::new();
        host.plug(&machine, &Attach { bridge, veth, ip, prefix: 20, gateway }).expect("plug");
        (machine, ip)
    };
    let new = host.apps("000027", 1).remove(0);
    let ((one, ip), (two, _)) = (old(2), old(3));
    let (stranger, far) = member(&host, &new, 2);
    assert!(two.call(ip, one.answer_once(), PATIENT).is_ok());
    assert!(host.call(ip, one.answer_once(), PATIENT).is_ok());
    assert!(one.call(far, stranger.answer_once(), BRIEF).is_err());
    assert!(stranger.call(ip, one.answer_once(), BRIEF).is_err());
    host.remove(&new);
    let left = host.inventory();
    assert!(!left.iter().any(|line| line.contains("000027")), "{left:?}");
}

/// A firewall as Docker makes it, with the program that Docker uses.
fn dockers_firewall(host: &Machine) {
    host.run(|| {
        for arguments in [
            "-N DOCKER-USER",
            "-A DOCKER-USER -j RETURN",
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
            "-P FORWARD DROP",
        ] {
            iptables(arguments);
        }
    });
}

/// In the network namespace of the thread.
fn iptables(arguments: &str) -> String {
    let output = Command::new("iptables-nft").args(arguments.split(' ')).output().expect("iptables is installed");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn user_chain(host: &Machine) -> Vec<String> {
    host.run(|| iptables("-S DOCKER-USER").lines().map(str::to_owned).collect())
}

fn pass(host: &Machine) {
    host.run(|| HostNet::new("000028")?.pass_docker()).expect("passes");
}

#[test]
fn instances_pass_dockers_firewall_by_rules_that_iptables_understands() {
    let host = Machine::new();
    let nets = host.apps("000028", 2);
    pass(&host);
    dockers_firewall(&host);
    host.lan("docker0", "172.17.0.1/16");
    host.lan("lan", "192.0.2.1/24");
    let (one, _) = member(&host, &nets[0], 2);
    let (sibling, near) = member(&host, &nets[0], 3);
    let (stranger, far) = member(&host, &nets[1], 2);
    let lan = |bridge: &str, ip: Ipv4Addr, gateway: Ipv4Addr| {
        let machine = Machine::new();
        let (bridge, veth) = (bridge.to_owned(), format!("far-{bridge}"));
        host.plug(&machine, &Attach { bridge, veth, ip, prefix: 24, gateway }).expect("plug");
        (machine, ip)
    };
    let (outside, elsewhere) = lan("lan", Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 1));
    let (docker, theirs) = lan("docker0", Ipv4Addr::new(172, 17, 0, 2), Ipv4Addr::new(172, 17, 0, 1));
    assert!(one.call(elsewhere, outside.answer_once(), BRIEF).is_err(), "Docker's policy");
    assert_eq!(host.run(beside::warnings), [""; 0], "it can be mended");

    pass(&host);
    let ours = [
        "-N DOCKER-USER",
        "-A DOCKER-USER -i tp000028-+ -o docker0 -j RETURN",
        "-A DOCKER-USER -i tp000028-+ -j ACCEPT",
        "-A DOCKER-USER -o tp000028-+ -j ACCEPT",
        "-A DOCKER-USER -j RETURN",
    ];
    assert_eq!(user_chain(&host), ours);
    assert!(one.call(elsewhere, outside.answer_once(), PATIENT).is_ok());
    assert!(one.call(near, sibling.answer_once(), PATIENT).is_ok());
    assert!(one.call(far, stranger.answer_once(), BRIEF).is_err(), "another app");
    assert!(one.call(theirs, docker.answer_once(), BRIEF).is_err(), "a container of Docker's");

    // Again and again, and after somebody has emptied the chain or doubled our rules.
    pass(&host);
    assert_eq!(user_chain(&host), ours);
    host.run(|| iptables("-A DOCKER-USER -i tp000028-+ -j ACCEPT"));
    host.run(|| iptables("-I DOCKER-USER -i eth9 -j DROP"));
    pass(&host);
    assert_eq!(user_chain(&host).len(), ours.len() + 1);
    host.run(|| iptables("-F DOCKER-USER"));
    pass(&host);
    assert_eq!(user_chain(&host), ours[..4]);

    host.run(|| iptables("-A DOCKER-USER -i tp000029-+ -j ACCEPT"));
    host.remove(&nets[0]);
    assert_eq!(
        user_chain(&host),
        ["-N DOCKER-USER", "-A DOCKER-USER -i tp000029-+ -j ACCEPT"],
        "another server's stays"
    );
}

#[test]
fn where_there_is_no_chain_of_dockers_nothing_is_made() {
    let host = Machine::new();
    pass(&host);
    assert_eq!(host.inventory().iter().filter(|line| line.contains("filter")).count(), 0);
    let table = Table { family: Family::Ipv4, name: "filter".to_owned() };
    let chain = Chain { name: "FORWARD", kind: "filter", hook: Hook::Forward, priority: 0 };
    host.run(move || nft::commit(&[Step::AddTable { table: table.clone() }, Step::AddChain { table, chain }]))
        .expect("a table");
    pass(&host);
    assert_eq!(host.inventory().iter().filter(|line| line.contains("DOCKER")).count(), 0);
}
