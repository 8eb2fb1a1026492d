//! The network as it really is: every test has machines of its own, each a network namespace that ends with the test.
//! They need root, as the engine does.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::links::{self, Assigned, Kind, Link, Pair};
use super::nft::{self, Family};
use super::nft_list;
use super::rtnl::Rtnl;
use super::{AppNet, Attach, HostNet, NetError, Subnet, delete_link, list_veths, plug, rules};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, which does what it is given. Its thread id serves as the process id of a
/// container: the kernel looks up namespaces by either.
pub struct Machine {
    id: i32,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    pub fn new() -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (born, birth) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let made = unshare(CloneFlags::CLONE_NEWNET).map(|()| nix::unistd::gettid().as_raw());
            born.send(made).expect("the test waits");
            inbox.into_iter().for_each(|job| job());
        });
        let id = birth.recv().expect("an answer").expect("network tests need root");
        Self { id, jobs: Some(jobs), thread: Some(thread) }
    }

    pub fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, outcome) = mpsc::channel();
        let job = move || drop(done.send(catch_unwind(AssertUnwindSafe(job))));
        self.jobs.as_ref().expect("jobs until the end").send(Box::new(job)).expect("a live machine");
        outcome.recv().expect("an outcome").unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The network of the first app of a server, with the rules for it alone.
    pub fn ensure(&self, tag: &'static str, remembered: Option<Subnet>) -> Result<AppNet, NetError> {
        self.run(move || ensure(tag, 0, remembered).and_then(|net| enforce(&[&net]).map(|()| net)))
    }

    /// Networks for so many apps of a server. The rules, made for the first, learn of the others.
    pub fn apps(&self, tag: &'static str, count: u32) -> Vec<AppNet> {
        let made = self.run(move || {
            let host = HostNet::new(tag)?;
            let nets: Vec<_> = (0..count).map(|number| ensure(tag, number, None)).collect::<Result<_, _>>()?;
            host.enforce(&nets[..1])?;
            host.renew(&nets).map(|()| nets)
        });
        made.expect("networks")
    }

    /// Everything of the server that the network belongs to.
    pub fn remove(&self, net: &AppNet) {
        let tag = net.tag.clone();
        self.run(move || HostNet::new(&tag)?.remove()).expect("remove");
    }

    pub fn plug(&self, container: &Machine, attach: &Attach) -> Result<(), NetError> {
        let (id, attach) = (container.id, attach.clone());
        self.run(move || plug(id, &attach))
    }

    pub fn rtnl<R: Send + 'static>(&self, ask: impl FnOnce(&mut Rtnl) -> std::io::Result<R> + Send + 'static) -> R {
        self.run(|| Rtnl::open().and_then(|mut rtnl| ask(&mut rtnl))).expect("an answer of the kernel")
    }

    /// A second network on this machine, with other machines on it.
    pub fn lan(&self, name: &'static str, gateway: &'static str) {
        let (address, subnet) = address(gateway);
        self.rtnl(move |rtnl| {
            links::create_bridge(rtnl, name, [2, 0, 0, 0, 0, 1])?;
            let link = links::find(rtnl, name)?.expect("the bridge").index;
            links::add_address(rtnl, Assigned { link, address, subnet })?;
            links::set_up(rtnl, link)
        });
    }

    pub fn add_to_loopback(&self, text: &'static str) {
        let (address, subnet) = address(text);
        self.rtnl(move |rtnl| links::add_address(rtnl, Assigned { link: 1, address, subnet }));
    }

    /// Everything that the network consists of, one line each.
    pub fn inventory(&self) -> Vec<String> {
        self.run(|| {
            let mut rtnl = Rtnl::open().expect("a socket");
            let mut lines = Vec::new();
            // Whether an interface is operational follows from the ones around it, a little later.
            let links = links::list(&mut rtnl).expect("links").into_iter();
            lines.extend(links.map(|link| format!("{:?}", Link { operational: false, ..link })));
            lines.extend(links::addresses(&mut rtnl).expect("addresses").iter().map(|it| format!("{it:?}")));
            lines.extend(links::routes(&mut rtnl).expect("routes").iter().map(|it| format!("{it:?}")));
            lines.extend(nft_list::chains(Family::Any).expect("chains").iter().map(|it| format!("{it:?}")));
            lines
        })
    }

    /// Listens on all addresses and tells the first caller which address it seems to come from.
    pub fn answer_once(&self) -> u16 {
        self.run(|| {
            let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
            let port = listener.local_addr().expect("an address").port();
            std::thread::spawn(move || {
                if let Ok((mut stream, peer)) = listener.accept() {
                    let _ = stream.write_all(peer.ip().to_string().as_bytes());
                }
            });
            port
        })
    }

    /// The address that this machine seems to have when it calls.
    pub fn call(&self, ip: Ipv4Addr, port: u16, patience: Duration) -> std::io::Result<IpAddr> {
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&SocketAddr::from((ip, port)), patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            text.parse().map_err(std::io::Error::other)
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ensure(tag: &str, number: u32, remembered: Option<Subnet>) -> Result<AppNet, NetError> {
    let host = HostNet::new(tag)?;
    let mut change = host.begin()?;
    let net = host.app(number, change.choose(number, remembered)?);
    change.establish(&net).map(|()| net)
}

fn enforce(nets: &[&AppNet]) -> Result<(), NetError> {
    let tag = &nets.first().expect("at least one").tag;
    HostNet::new(tag)?.enforce(&nets.iter().map(|net| (*net).clone()).collect::<Vec<_>>())
}

pub const PATIENT: Duration = Duration::from_secs(10);
/// For calls that must not get through; a packet here takes microseconds.
pub const BRIEF: Duration = Duration::from_millis(400);

fn address(text: &str) -> (Ipv4Addr, Subnet) {
    let (address, prefix) = text.split_once('/').expect(text);
    let address: Ipv4Addr = address.parse().expect(text);
    (address, Subnet::around(address, prefix.parse().expect(text)))
}

fn subnet(text: &str) -> Subnet {
    text.parse().expect(text)
}

#[test]
fn ensuring_again_changes_nothing() {
    let host = Machine::new();
    let net = host.ensure("00000a", None).expect("the first time");
    assert_eq!(net.subnet, subnet("10.64.40.0/22"));
    let before = host.inventory();
    assert_eq!(host.ensure("00000a", Some(net.subnet)).expect("remembered"), net);
    assert_eq!(host.ensure("00000a", None).expect("forgotten"), net);
    assert_eq!(host.inventory(), before);
    let forwarding = host.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")).expect("the setting");
    assert_eq!(forwarding.trim(), "1");
}

#[test]
fn ensuring_repairs_what_somebody_broke() {
    let host = Machine::new();
    let net = host.ensure("00000b", None).expect("the first time");
    let before = host.inventory();
    let (broken, link) = (net.clone(), 2);
    host.run(move || nft::commit(&rules::remove(rules::ipv4(&format!("tapit-{}", broken.tag))))).expect("no table");
    let (address, wrong) = (net.gateway, address("10.1.2.3/24"));
    host.rtnl(move |rtnl| {
        assert_eq!(links::find(rtnl, &net.bridge)?.expect("the bridge").index, link);
        links::remove_address(rtnl, Assigned { link, address, subnet: net.subnet })?;
        links::add_address(rtnl, Assigned { link, address: wrong.0, subnet: wrong.1 })
    });
    assert_ne!(host.inventory(), before);
    host.ensure("00000b", None).expect("again");
    assert_eq!(host.inventory(), before);
}

#[test]
fn servers_that_start_at_once_get_different_subnets() {
    // All begin their search at the same place.
    const TAGS: [&str; 8] = ["000005", "001005", "002005", "003005", "004005", "005005", "006005", "007005"];
    let host = Machine::new();
    let nets = host.run(|| {
        let threads = TAGS.map(|tag| std::thread::spawn(move || ensure(tag, 0, None)));
        threads.map(|thread| thread.join().expect("no panic").expect("a network"))
    });
    for (i, net) in nets.iter().enumerate() {
        assert!(nets[..i].iter().all(|other| !other.subnet.overlaps(&net.subnet)), "{nets:?}");
    }
    for net in &nets {
        host.remove(net);
    }
    assert!(!host.inventory().iter().any(|line| line.contains("tp00") || line.contains("10.64")));
}

#[test]
fn a_remembered_subnet_is_kept_until_somebody_else_has_it() {
    let host = Machine::new();
    let first = host.ensure("00000c", None).expect("a network");
    let moved = subnet("10.99.16.0/22");
    let second = host.ensure("00000c", Some(moved)).expect("the remembered one");
    assert_eq!((second.subnet, second.gateway), (moved, Ipv4Addr::new(10, 99, 16, 1)));
    host.remove(&second);

    host.lan("lan", "10.99.17.1/24");
    let third = host.ensure("00000c", Some(moved)).expect("another one");
    assert_eq!(third.subnet, first.subnet);
}

#[test]
fn a_name_that_is_no_bridge_is_left_alone() {
    let (host, other) = (Machine::new(), Machine::new());
    host.lan("lan", "192.0.2.1/24");
    let attach = Attach {
        bridge: "lan".to_owned(),
        veth: "tp00000d-0".to_owned(),
        ip: Ipv4Addr::new(192, 0, 2, 2),
        prefix: 24,
        gateway: Ipv4Addr::new(192, 0, 2, 1),
    };
    host.plug(&other, &attach).expect("a pair");
    let before = host.inventory();
    assert!(matches!(host.ensure("00000d", None), Err(NetError::NotABridge { link }) if link == "tp00000d-0"));
    assert_eq!(host.inventory(), before);
}

#[test]
fn the_host_reaches_a_plugged_container_and_containers_reach_one_another() {
    let (host, one, two) = (Machine::new(), Machine::new(), Machine::new());
    let net = host.ensure("00000e", None).expect("a network");
    let addresses: Vec<_> = net.subnet.addresses().skip(1).take(2).collect();
    for (container, ip) in [(&one, addresses[0]), (&two, addresses[1])] {
        host.plug(container, &net.attach(ip)).expect("plug");
    }
    assert_eq!(host.call(addresses[0], one.answer_once(), PATIENT).expect("an answer"), net.gateway);
    assert_eq!(two.call(addresses[0], one.answer_once(), PATIENT).expect("an answer"), addresses[1]);
    assert_eq!(two.call(net.gateway, host.answer_once(), PATIENT).expect("an answer"), addresses[1]);
    assert_eq!(one.call(Ipv4Addr::LOCALHOST, one.answer_once(), PATIENT).expect("loopback"), Ipv4Addr::LOCALHOST);

    // The same address comes with the same hardware address, so the host's table of neighbours stays right.
    let again = Machine::new();
    let attach = net.attach(addresses[0]);
    let veth = attach.veth.clone();
    host.run(move || delete_link(&veth)).expect("unplug");
    host.plug(&again, &attach).expect("plug again");
    assert_eq!(host.call(addresses[0], again.answer_once(), BRIEF).expect("at once"), net.gateway);
}

#[test]
fn containers_reach_the_outside_but_are_not_reached_from_it_and_see_no_metadata() {
    let (host, container, outside) = (Machine::new(), Machine::new(), Machine::new());
    let net = host.ensure("00000f", None).expect("a network");
    let ip = net.subnet.nth(2).expect("an address");
    host.plug(&container, &net.attach(ip)).expect("plug");
    host.lan("lan", "192.0.2.1/24");
    let far = Ipv4Addr::new(192, 0, 2, 2);
    let lan = Attach { bridge: "lan".to_owned(), veth: "far".to_owned(), ip: far, prefix: 24, gateway: far };
    host.plug(&outside, &Attach { gateway: Ipv4Addr::new(192, 0, 2, 1), ..lan }).expect("the outside");
    host.rtnl(move |rtnl| links::add_default_route(rtnl, far));
    outside.add_to_loopback("198.51.100.1/32");
    outside.add_to_loopback("169.254.169.254/32");

    let (elsewhere, metadata) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(169, 254, 169, 254));
    let hosts = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(container.call(elsewhere, outside.answer_once(), PATIENT).expect("masqueraded"), hosts);
    assert_eq!(host.call(metadata, outside.answer_once(), PATIENT).expect("from the host"), hosts);
    let blocked = container.call(metadata, outside.answer_once(), BRIEF).expect_err("no metadata");
    assert_eq!(blocked.kind(), std::io::ErrorKind::TimedOut);
    let blocked = outside.call(ip, container.answer_once(), BRIEF).expect_err("no way in");
    assert_eq!(blocked.kind(), std::io::ErrorKind::TimedOut);

    // Without the table both get through, so it was the table that stopped them.
    host.run(|| nft::commit(&rules::remove(rules::ipv4("tapit-00000f")))).expect("no table");
    assert_eq!(outside.call(ip, container.answer_once(), PATIENT).expect("a way in"), far);
    assert_eq!(container.call(metadata, outside.answer_once(), PATIENT).expect("metadata"), ip);
}

#[test]
fn a_metadata_service_on_the_host_itself_is_hidden_too() {
    let (host, container) = (Machine::new(), Machine::new());
    let net = host.ensure("000010", None).expect("a network");
    host.plug(&container, &net.attach(net.subnet.nth(2).expect("an address"))).expect("plug");
    host.add_to_loopback("169.254.169.254/32");
    let blocked = container.call(Ipv4Addr::new(169, 254, 169, 254), host.answer_once(), BRIEF);
    assert_eq!(blocked.expect_err("no metadata").kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn removing_leaves_nothing_of_one_server_and_everything_of_the_other() {
    let (host, one, two) = (Machine::new(), Machine::new(), Machine::new());
    let other = host.apps("000011", 2).remove(0);
    host.plug(&one, &other.attach(other.subnet.nth(2).expect("an address"))).expect("plug");
    let before = host.inventory();

    let mine = host.apps("000012", 3).remove(2);
    let attach = mine.attach(mine.subnet.nth(2).expect("an address"));
    host.plug(&two, &attach).expect("plug");
    assert_eq!(host.run(|| list_veths("000012")).expect("a list"), [attach.veth]);
    host.remove(&mine);
    assert_eq!(host.inventory(), before);
    assert_eq!(host.run(|| list_veths("000012")).expect("a list"), [""; 0]);
    assert!(!two.inventory().iter().any(|line| line.contains("eth0")));

    host.remove(&mine);
    assert_eq!(host.inventory(), before, "a second time is no error and no change");
}

#[test]
fn a_plug_that_fails_leaves_nothing_behind() {
    let (host, container) = (Machine::new(), Machine::new());
    let net = host.ensure("000013", None).expect("a network");
    let good = net.attach(net.subnet.nth(2).expect("an address"));
    let before = host.inventory();

    let no_way = Attach { gateway: Ipv4Addr::new(192, 0, 2, 1), ..good.clone() };
    assert!(matches!(host.plug(&container, &no_way), Err(NetError::AddRoute { .. })));
    let no_bridge = Attach { bridge: "tapit-nowhere".to_owned(), ..good.clone() };
    assert!(matches!(host.plug(&container, &no_bridge), Err(NetError::Missing { link }) if link == "tapit-nowhere"));
    assert!(matches!(host.plug(&host, &good), Err(NetError::OwnNetns { .. })));
    let gone = i32::MAX;
    let attach = good.clone();
    assert!(matches!(host.run(move || plug(gone, &attach)), Err(NetError::OpenNetns { .. })));
    assert_eq!(host.inventory(), before);

    host.plug(&container, &good).expect("after all that it works");
    let twice = Attach { veth: "second".to_owned(), ..good.clone() };
    assert!(matches!(host.plug(&container, &twice), Err(NetError::CreateVeth { .. })));
    assert_eq!(host.run(|| list_veths("000013")).expect("a list"), [good.veth]);
}

#[test]
fn container_after_container_answers_at_once_and_leaves_nothing() {
    let host = Machine::new();
    let net = host.ensure("000014", None).expect("a network");
    let before = host.inventory();
    for place in 2..42 {
        let container = Machine::new();
        let attach = net.attach(net.subnet.nth(place).expect("an address"));
        host.plug(&container, &attach).expect("plug");
        // A first packet that is lost is sent again after a second.
        let answer = host.call(attach.ip, container.answer_once(), Duration::from_millis(900));
        assert_eq!(answer.expect("the first packet arrives"), net.gateway);
        let veth = attach.veth;
        host.run(move || delete_link(&veth).and_then(|()| delete_link(&veth))).expect("collected, twice");
    }
    assert_eq!(host.inventory(), before);
}

#[test]
fn the_name_of_every_interface_kind_is_read() {
    let (host, other) = (Machine::new(), Machine::new());
    host.lan("lan", "192.0.2.1/24");
    let (id, kinds) = (other.id, [("lo", Kind::Other), ("lan", Kind::Bridge), ("pair", Kind::Veth)]);
    host.rtnl(move |rtnl| {
        let netns = std::fs::File::open(format!("/proc/{id}/ns/net"))?;
        let bridge = links::find(rtnl, "lan")?.expect("the bridge").index;
        let peer_netns = std::os::fd::AsFd::as_fd(&netns);
        let pair = Pair { name: "pair", bridge, peer: "peer", peer_mac: [2, 0, 0, 0, 0, 2], peer_netns };
        links::create_pair(rtnl, &pair)?;
        let seen = links::list(rtnl)?;
        for (name, kind) in kinds {
            let link = seen.iter().find(|link| link.name == name).expect(name);
            assert_eq!(link.kind, kind, "{name}");
            assert_eq!(links::find(rtnl, name)?.map(|found| found.index), Some(link.index));
            assert_eq!(link.controller, (kind == Kind::Veth).then_some(bridge), "{name}");
        }
        Ok(())
    });
}
