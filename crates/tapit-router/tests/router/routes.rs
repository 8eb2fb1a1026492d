//! Which backend a request reaches, and how backends come and go.

use tapit_model::{Backend, Route, RouteTable};
use tapit_router::{Counts, Limits};

use crate::support::{App, Nobody, Running, one_route, status};

fn route(name: &str, hosts: &[&str], backend: &App) -> Route {
    Route {
        name: name.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        backends: vec![Backend { id: format!("{name}/default.1"), addr: backend.addr }],
        closed: None,
    }
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn the_host_decides_and_an_unknown_one_is_named_in_a_404() {
    let (shop, blog) = (App::named("shop").await, App::named("blog").await);
    let router = Running::start(Limits::default());
    let routes =
        vec![route("shop", &["shop.localhost", "shop.test"], &shop), route("blog", &["blog.localhost"], &blog)];
    router.handle.publish(RouteTable { routes, any_host: None });

    assert!(router.ask(&get("Shop.LOCALHOST:8080")).await.ends_with("shop"));
    assert!(router.ask(&get("shop.test")).await.ends_with("shop"));
    assert!(router.ask(&get("blog.localhost")).await.ends_with("blog"));
    let absolute = "GET http://blog.localhost/x HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
    assert!(router.ask(absolute).await.ends_with("blog"));
    let unknown = router.ask(&get("other.localhost")).await;
    assert_eq!(status(&unknown), "404");
    assert!(unknown.ends_with("no app answers for host \"other.localhost\"\n"), "{unknown}");
}

#[tokio::test]
async fn any_host_takes_what_no_route_names_also_from_http_1_0_without_a_host() {
    let (shop, blog) = (App::named("shop").await, App::named("blog").await);
    let router = Running::start(Limits::default());
    let routes = vec![route("shop", &["shop.localhost"], &shop), route("blog", &["blog.localhost"], &blog)];
    router.handle.publish(RouteTable { routes, any_host: Some(1) });

    assert!(router.ask(&get("shop.localhost")).await.ends_with("shop"));
    assert!(router.ask(&get("other.localhost")).await.ends_with("blog"));
    assert!(router.ask("GET / HTTP/1.0\r\n\r\n").await.ends_with("blog"));
}

#[tokio::test]
async fn a_closed_route_answers_at_once_with_its_text() {
    let router = Running::start(Limits::default());
    let mut table = one_route(&[]);
    table.routes[0].closed = Some("shop is disabled".to_owned());
    router.handle.publish(table);

    let answer = router.get("/").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.to_lowercase().contains("retry-after: 10"), "{answer}");
    assert!(answer.ends_with("shop is disabled\n"));
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
}

#[tokio::test]
async fn equal_backends_take_turns() {
    let (a, b) = (App::named("a").await, App::named("b").await);
    let router = Running::to(Limits::default(), &[("shop/a.1", a.addr), ("shop/b.1", b.addr)]);
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(router.get("/").await.pop().unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, ['a', 'a', 'a', 'b', 'b', 'b']);
    assert_eq!(router.handle.counts("shop"), Counts { sent: 6, ok: 6, failed: 0, retried: 0 });
    assert_eq!(router.handle.counts("nothing"), Counts::default());
}

#[tokio::test]
async fn a_withdrawn_backend_gets_nothing_and_never_comes_back() {
    let (a, b) = (App::named("a").await, App::named("b").await);
    let both = [("shop/a.1", a.addr), ("shop/b.1", b.addr)];
    let router = Running::to(Limits::default(), &both);
    assert!(router.handle.is_routed("shop/a.1"));
    router.handle.withdraw("shop/a.1");
    assert!(!router.handle.is_routed("shop/a.1"));
    for _ in 0..4 {
        assert!(router.get("/").await.ends_with('b'));
    }
    // One table that was made before the withdrawal, one that no longer names it, and a very late one.
    for table in [&both[..], &both[1..], &both[..]] {
        router.publish(table);
        assert!(!router.handle.is_routed("shop/a.1"));
        assert!(router.get("/").await.ends_with('b'));
    }
}

#[tokio::test]
async fn an_id_withdrawn_before_it_was_ever_published_is_refused() {
    let a = App::named("a").await;
    let router = Running::start(Limits::default());
    router.handle.withdraw("shop/a.1");
    router.publish(&[("shop/a.1", a.addr), ("shop/a.2", a.addr)]);
    assert!(!router.handle.is_routed("shop/a.1"));
    assert!(router.handle.is_routed("shop/a.2"));
}

#[tokio::test]
async fn a_backend_left_out_of_a_table_may_come_back_in_a_later_one() {
    let a = App::named("a").await;
    let router = Running::to(Limits::default(), &[("shop/a.1", a.addr)]);
    router.publish(&[]);
    assert!(!router.handle.is_routed("shop/a.1"));
    router.publish(&[("shop/a.1", a.addr)]);
    assert!(router.get("/").await.ends_with('a'));
}

#[tokio::test]
async fn a_backend_that_moved_is_reached_at_its_new_address() {
    let a = App::named("a").await;
    let dead = Nobody::new();
    let router = Running::to(Limits::default(), &[("shop/a.1", dead.addr)]);
    router.publish(&[("shop/a.1", a.addr)]);
    assert!(router.get("/").await.ends_with('a'));
}

#[tokio::test]
async fn a_client_connection_stays_open_when_its_backend_is_withdrawn() {
    let (a, b) = (App::named("a").await, App::named("b").await);
    let router = Running::to(Limits::default(), &[("shop/a.1", a.addr)]);
    let mut talk = router.connect().await;
    talk.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    talk.read_until("\r\n\r\na").await;
    router.publish(&[("shop/a.1", a.addr), ("shop/b.1", b.addr)]);
    router.handle.withdraw("shop/a.1");
    drop(a);
    for _ in 0..3 {
        talk.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        let answer = talk.read_until("\r\n\r\nb").await;
        assert_eq!(status(&answer), "200");
    }
}

#[tokio::test]
async fn connections_to_a_backend_are_used_again() {
    let a = App::named("a").await;
    let router = Running::to(Limits::default(), &[("shop/a.1", a.addr)]);
    for _ in 0..20 {
        assert!(router.get("/").await.ends_with('a'));
    }
    assert!(a.accepted() < 20, "{} connections for 20 requests", a.accepted());
}
