//! Apps beside one another: who reaches whom, and by which names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Ptr};
use tapit_container::linux::net::list_veths;
use tapit_engine::Engine;
use tapit_engine::conformance::{Behaviour, Subject};
use tapit_model::{
    AppName, Check, Formation, InstanceObserved, InstanceState, Lifecycle, Presence, ProcessKey, ProcessName,
    ProcessTarget, ReasonCode, Revision,
};

use crate::subject::{Bed, run_own};

fn key(app: &str, process: &str) -> ProcessKey {
    let app = AppName::parse(app).expect("a legal name");
    ProcessKey::new(&app, &ProcessName::parse(process).expect("a legal name"))
}

fn target(key: &ProcessKey, revision: u64, presence: Presence) -> ProcessTarget {
    ProcessTarget { key: key.clone(), revision: Revision(revision), presence }
}

async fn apply(bed: &Bed, key: &ProcessKey, revision: u64, formation: Formation) {
    let target = target(key, revision, Presence::Present(Box::new(formation)));
    bed.embedded().apply(target).await.expect("takes orders");
}

async fn delete(bed: &Bed, key: &ProcessKey, revision: u64) {
    let lifecycle = Lifecycle { drain_timeout: tapit_model::Seconds(1), stop_timeout: tapit_model::Seconds(1) };
    bed.embedded().apply(target(key, revision, Presence::Absent(lifecycle))).await.expect("takes orders");
}

async fn seen(bed: &Bed, key: &ProcessKey) -> Vec<InstanceObserved> {
    let observed = bed.embedded().observe().await.expect("can be looked at");
    observed.into_iter().find(|process| process.key == *key).map_or(Vec::new(), |process| process.instances)
}

async fn healthy(bed: &Bed, key: &ProcessKey, count: usize) -> Vec<Ipv4Addr> {
    let mut last = Vec::new();
    for _ in 0..bed.patience() {
        last = seen(bed, key).await;
        let healthy = last.iter().filter(|one| one.state == InstanceState::Healthy);
        let mut addresses: Vec<_> = healthy.filter_map(|one| one.ip).collect();
        if addresses.len() == count {
            addresses.sort();
            return addresses;
        }
        bed.pass().await;
    }
    panic!("{key} never has {count} healthy instances: {last:#?}");
}

async fn eventually(bed: &Bed, what: &str, done: impl Fn() -> bool) {
    for _ in 0..bed.patience() {
        if done() {
            return;
        }
        bed.pass().await;
    }
    panic!("does not come true: {what}");
}

async fn gone(bed: &Bed, key: &ProcessKey) {
    for _ in 0..bed.patience() {
        if seen(bed, key).await.is_empty() {
            return;
        }
        bed.pass().await;
    }
    panic!("{key} does not go");
}

/// The last words that an instance has logged, with the marks for an end of them.
async fn said(bed: &Bed, key: &ProcessKey) -> String {
    let mut text = String::new();
    for _ in 0..bed.patience() {
        if let Some(one) = seen(bed, key).await.first() {
            let instance = tapit_model::InstanceKey { app: key.app.clone(), id: one.id.clone() };
            text = bed.embedded().log_tail(&instance, 100).await.unwrap_or_default().join("\n");
            if text.contains("that is all") {
                return text;
            }
        }
        bed.pass().await;
    }
    panic!("{key} never says all: {text}");
}

/// What the gateway of an address's network answers to this host.
struct Answer {
    code: Rcode,
    addresses: Vec<Ipv4Addr>,
    names: Vec<String>,
}

fn ask(gateway: Ipv4Addr, name: &str, kind: Rtype) -> Answer {
    let mut question = MessageBuilder::new_vec().question();
    question.push((name.parse::<Name<Vec<u8>>>().expect("a name"), kind)).expect("fits");
    let socket = UdpSocket::bind((gateway, 0)).expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    socket.send_to(&question.finish(), (gateway, 53)).expect("sent");
    let mut buffer = [0; 512];
    let (len, peer) = socket.recv_from(&mut buffer).expect("an answer");
    assert_eq!(peer, SocketAddr::from((gateway, 53)));
    let answer = Message::from_octets(&buffer[..len]).expect("a message");
    let records = || answer.answer().expect("a section");
    let mut addresses: Vec<_> = records().limit_to::<A>().map(|it| it.expect("a record").data().addr()).collect();
    addresses.sort();
    let names = records().limit_to::<Ptr<_>>().map(|it| it.expect("a record").data().to_string());
    Answer { code: answer.header().rcode(), names: names.collect(), addresses }
}

fn gateway_of(ip: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(ip.to_bits() & !0x3ff | 1)
}

fn bridges(bed: &Bed) -> Vec<String> {
    let prefix = format!("tp{}-", bed.tag());
    let entries = std::fs::read_dir("/sys/class/net").expect("interfaces").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn processes_of_an_app_find_one_another_by_name_and_no_other_app() {
    run_own(|bed| {
        Box::pin(async move {
            let (api, worker, other) = (key("shop", "api"), key("shop", "worker"), key("blog", "web"));
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            apply(bed, &api, 1, bed.formation(Behaviour::Serves)).await;
            apply(bed, &other, 1, bed.formation(Behaviour::Serves)).await;
            healthy(bed, &api, 1).await;
            let far = healthy(bed, &other, 1).await[0];
            let script = format!(
                "for u in api:8080 api.shop.internal:8080; do wget -q -O - http://$u/ && echo got $u; done; \
                 for u in web:8080 web.blog.internal:8080 {far}:8080 169.254.169.254; do \
                 wget -q -T 1 -O - http://$u/ 2>/dev/null || echo no $u; done; echo that is all; exec sleep 1000"
            );
            apply(bed, &worker, 1, bed.shell(&script)).await;
            let text = said(bed, &worker).await;
            let expected = format!(
                "hello\ngot api:8080\nhello\ngot api.shop.internal:8080\nno web:8080\nno web.blog.internal:8080\n\
                 no {far}:8080\nno 169.254.169.254\nthat is all"
            );
            assert_eq!(text, expected);
            assert_eq!(bridges(bed).len(), 2);
        })
    });
}

#[test]
fn names_stand_for_the_healthy_instances_of_the_moment() {
    run_own(|bed| {
        Box::pin(async move {
            let (api, sick) = (key("shop", "api"), key("shop", "sick"));
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            apply(bed, &api, 1, Formation { demand: 3, ..bed.formation(Behaviour::Serves) }).await;
            let never = bed.formation(Behaviour::NeverHealthy);
            apply(bed, &sick, 1, Formation { health_timeout: tapit_model::Seconds(60), ..never }).await;
            let addresses = healthy(bed, &api, 3).await;
            let gateway = gateway_of(addresses[0]);
            let ask = |name: &str, kind| ask(gateway, name, kind);
            for name in ["api", "API.shop.Internal", "api.shop.internal"] {
                let answer = ask(name, Rtype::A);
                assert_eq!((answer.code, answer.addresses), (Rcode::NOERROR, addresses.clone()), "{name}");
            }
            for (name, kind) in [("api", Rtype::AAAA), ("sick", Rtype::A), ("api", Rtype::MX)] {
                let answer = ask(name, kind);
                assert_eq!((answer.code, answer.addresses), (Rcode::NOERROR, Vec::new()), "{name}");
            }
            for name in ["web", "api.blog.internal", "internal", "a.b.c.internal"] {
                assert_eq!(ask(name, Rtype::A).code, Rcode::NXDOMAIN, "{name}");
            }
            let [a, b, c, d] = addresses[0].octets();
            let reverse = ask(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), Rtype::PTR);
            assert_eq!(reverse.names, ["api.shop.internal."]);

            apply(bed, &api, 2, Formation { demand: 1, ..bed.formation(Behaviour::Serves) }).await;
            let left = healthy(bed, &api, 1).await;
            eventually(bed, "one name, one address", || ask("api", Rtype::A).addresses == left).await;
            delete(bed, &api, 3).await;
            eventually(bed, "no such name", || ask("api", Rtype::A).code == Rcode::NXDOMAIN).await;
        })
    });
}

#[test]
fn names_are_answered_again_by_the_next_server() {
    run_own(|bed| {
        Box::pin(async move {
            let api = key("shop", "api");
            let formation = bed.formation(Behaviour::Serves);
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            apply(bed, &api, 1, formation.clone()).await;
            let addresses = healthy(bed, &api, 1).await;
            bed.close().await;
            // The next one gets to know all from the instance alone.
            std::fs::write(bed.book(), "{\"damaged").expect("writable");
            bed.open().await;
            let held = target(&api, 1, Presence::Present(Box::new(formation)));
            bed.embedded().adopt(vec![held]).await.expect("adopts");
            assert_eq!(healthy(bed, &api, 1).await, addresses);
            assert_eq!(ask(gateway_of(addresses[0]), "api", Rtype::A).addresses, addresses);
            assert_eq!(bridges(bed).len(), 1);
        })
    });
}

#[test]
fn a_network_goes_with_the_last_process_of_its_app_and_comes_back_with_the_next() {
    run_own(|bed| {
        Box::pin(async move {
            let (one, two, other) = (key("shop", "one"), key("shop", "two"), key("blog", "web"));
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            assert_eq!(bridges(bed).len(), 0, "none before there are instances");
            for key in [&one, &two, &other] {
                apply(bed, key, 1, bed.formation(Behaviour::Serves)).await;
                healthy(bed, key, 1).await;
            }
            assert_eq!(bridges(bed).len(), 2);
            delete(bed, &one, 2).await;
            gone(bed, &one).await;
            let far = healthy(bed, &two, 1).await[0];
            delete(bed, &two, 2).await;
            eventually(bed, "its bridge is gone", || bridges(bed).len() == 1).await;
            eventually(bed, "its interfaces are gone", || list_veths(&bed.tag()).is_ok_and(|veths| veths.len() == 1))
                .await;
            assert!(UdpSocket::bind((IpAddr::V4(gateway_of(far)), 53)).is_err(), "its gateway is gone");
            apply(bed, &one, 3, bed.formation(Behaviour::Serves)).await;
            let back = healthy(bed, &one, 1).await;
            assert_eq!(ask(gateway_of(back[0]), "one", Rtype::A).addresses, back);
        })
    });
}

#[test]
fn a_worker_without_a_port_has_a_name_as_well() {
    run_own(|bed| {
        Box::pin(async move {
            let worker = key("shop", "worker");
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            let script = "exec sleep 1000";
            let formation = bed.shell(script);
            assert!(matches!(formation.check, Check::Uptime(_)));
            apply(bed, &worker, 1, formation).await;
            let addresses = healthy(bed, &worker, 1).await;
            assert_eq!(ask(gateway_of(addresses[0]), "worker", Rtype::A).addresses, addresses);
        })
    });
}

#[test]
fn an_app_whose_network_cannot_be_made_says_why_and_starts_once_it_can() {
    run_own(|bed| {
        Box::pin(async move {
            let web = key("shop", "web");
            bed.embedded().adopt(Vec::new()).await.expect("adopts");
            let aside = bed.book().with_extension("aside");
            std::fs::rename(bed.book(), &aside).expect("the book of lots");
            // Which cannot be written where a directory has its name.
            std::fs::create_dir(bed.book()).expect("a directory");
            apply(bed, &web, 1, bed.formation(Behaviour::Serves)).await;
            let mut failed = Vec::new();
            for _ in 0..bed.patience() {
                failed = seen(bed, &web).await;
                if failed.iter().filter(|one| one.state == InstanceState::Stopped).count() >= 2 {
                    break;
                }
                bed.pass().await;
            }
            let reason = failed[0].reason.clone().expect("is told");
            assert_eq!(reason.code, ReasonCode::StartFailed);
            assert!(reason.text.contains("making the app's network: writing "), "{}", reason.text);
            assert!(failed.iter().any(|one| one.restarts > 0), "the next attempt counts as one: {failed:#?}");
            std::fs::remove_dir(bed.book()).expect("empty");
            std::fs::rename(&aside, bed.book()).expect("as it was");
            healthy(bed, &web, 1).await;
            assert_eq!(bridges(bed).len(), 1);
        })
    });
}
