//! Requests that wait for a backend.

use std::time::Duration;

use tapit_router::{Counts, Limits};
use tokio::time::Instant;

use crate::support::{App, Nobody, PATIENCE, Running, one_route, status, until};

fn brief() -> Limits {
    Limits { hold: Duration::from_millis(200), suspect: Duration::from_millis(20), ..Limits::default() }
}

#[tokio::test]
async fn a_held_request_is_answered_as_soon_as_a_backend_is_published() {
    let a = App::named("a").await;
    let router = Running::to(Limits { hold: PATIENCE, ..Limits::default() }, &[]);
    let started = Instant::now();
    let (answer, ()) = tokio::join!(router.get("/"), async {
        until("the request is counted", || router.handle.counts("shop").sent == 1).await;
        router.publish(&[("shop/a.1", a.addr)]);
    });
    assert!(answer.ends_with('a'), "{answer}");
    assert!(started.elapsed() < PATIENCE / 2, "it was woken, not timed out");
}

#[tokio::test]
async fn a_request_is_held_for_a_while_and_then_answered_503() {
    let router = Running::to(brief(), &[]);
    let started = Instant::now();
    let answer = router.get("/").await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(status(&answer), "503");
    assert!(answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    assert_eq!(router.handle.counts("shop"), Counts { sent: 1, ok: 0, failed: 1, retried: 0 });
}

#[tokio::test]
async fn a_held_request_ends_at_once_when_its_route_is_closed() {
    let router = Running::to(Limits { hold: PATIENCE, ..Limits::default() }, &[]);
    let (answer, ()) = tokio::join!(router.get("/"), async {
        until("the request is counted", || router.handle.counts("shop").sent == 1).await;
        let mut table = one_route(&[]);
        table.routes[0].closed = Some("shop is disabled".to_owned());
        router.handle.publish(table);
    });
    assert_eq!(status(&answer), "503");
    assert!(answer.ends_with("shop is disabled\n"));
}

#[tokio::test]
async fn no_more_requests_are_held_than_there_is_room_for() {
    let a = App::named("a").await;
    let router = Running::to(Limits { hold: PATIENCE, held_per_route: 1, ..Limits::default() }, &[]);
    let (held, ()) = tokio::join!(router.get("/"), async {
        until("the request is counted", || router.handle.counts("shop").sent == 1).await;
        // The first may not hold its place yet when the second comes; one of two is refused in any case.
        let refused = router.get("/").await;
        assert_eq!(status(&refused), "503");
        router.publish(&[("shop/a.1", a.addr)]);
    });
    assert!(held.ends_with('a'), "{held}");
}

#[tokio::test]
async fn a_request_that_no_backend_takes_is_held_and_then_answered_502() {
    let (dead, gone) = (Nobody::new(), Nobody::new());
    let router = Running::to(brief(), &[("shop/a.1", dead.addr), ("shop/b.1", gone.addr)]);
    let started = Instant::now();
    let answer = router.get("/").await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(status(&answer), "502");
    let counts = router.handle.counts("shop");
    assert_eq!((counts.sent, counts.ok, counts.failed), (1, 0, 1));
    assert!(counts.retried >= 1);
    assert_eq!(router.handle.in_flight("shop/a.1"), 0);
}

#[tokio::test]
async fn a_request_held_for_dead_backends_goes_to_a_new_one() {
    let a = App::named("a").await;
    let dead = Nobody::new();
    let router = Running::to(Limits { hold: PATIENCE, ..Limits::default() }, &[("shop/a.1", dead.addr)]);
    let (answer, ()) = tokio::join!(router.ask(POST), async {
        until("the request is counted", || router.handle.counts("shop").sent == 1).await;
        router.publish(&[("shop/a.1", dead.addr), ("shop/a.2", a.addr)]);
    });
    assert!(answer.ends_with('a'), "{answer}");
}

const POST: &str = "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
