//! Calls that go wrong on purpose.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tapit_ecs::api::*;
use tapit_ecs::sim::{Account, Fault, Link, Outcome, Rate, Setup, Verdict};

use super::stage::{Stage, ask};

fn create(name: &str) -> Request {
    Request::CreateCluster { name: name.to_owned(), tags: Tags::new() }
}

fn account() -> Arc<Account> {
    Account::new(Setup::default())
}

/// What became of so many equal calls, a letter each: `.` carried out, `T` throttled.
fn letters(account: &Account, request: &Request, count: usize) -> String {
    let letter = |answer: Result<Answer, ApiError>| match answer.map_err(|error| error.fault) {
        Ok(_) => '.',
        Err(ApiFault::Throttled) => 'T',
        Err(other) => panic!("{other:?}"),
    };
    (0..count).map(|_| letter(ask(account, request.clone()))).collect()
}

#[test]
fn some_calls_are_throttled() {
    let check = |fault: Fault, expected: &str| {
        let account = account();
        account.faults().add(fault);
        assert_eq!(letters(&account, &Request::CallerIdentity, 6), expected);
    };
    check(Fault::next(2), "TT....");
    check(Fault::every(3), "..T..T");
    check(Fault::nth(2), ".T....");
    check(Fault::every(1).of(Operation::CreateCluster), "......");
}

#[test]
fn calls_that_come_too_fast_are_throttled_until_time_has_passed() {
    let account = account();
    account.faults().limit(Rate::of([Operation::CallerIdentity, Operation::ListClusters], 3, 2));
    assert_eq!(letters(&account, &Request::CallerIdentity, 4), "...T");
    let list = Request::ListClusters { next: None };
    assert_eq!(letters(&account, &list, 1), "T", "they share what there is");
    assert_eq!(letters(&account, &create("shop"), 3), "...", "others have no limit");
    account.advance(Duration::from_millis(500));
    assert_eq!(letters(&account, &list, 2), ".T");
    account.advance(Duration::from_secs(60));
    assert_eq!(letters(&account, &list, 4), "...T", "no more is saved up than fits");
}

#[test]
fn only_calls_of_its_operation_count_for_a_fault() {
    let account = account();
    account.faults().add(Fault::nth(2).of(Operation::CreateCluster));
    assert_eq!(letters(&account, &Request::CallerIdentity, 3), "...");
    assert_eq!(letters(&account, &create("shop"), 3), ".T.");
    account.faults().clear();
    account.faults().add(Fault::every(1));
    account.faults().clear();
    assert_eq!(letters(&account, &create("shop"), 3), "...");
}

#[test]
fn a_refused_call_does_nothing_and_a_lost_answer_does_not_undo() {
    let account = account();
    account.faults().add(Fault::nth(1).with(Verdict::Refuse(ApiFault::Unavailable)));
    account.faults().add(Fault::nth(2).with(Verdict::LoseAnswer));
    let unavailable = |name: &str| ask(&*account, create(name)).expect_err("is not answered").fault;
    assert_eq!(unavailable("before"), ApiFault::Unavailable);
    assert_eq!(account.inventory().clusters, 0);
    assert_eq!(unavailable("after"), ApiFault::Unavailable);
    assert_eq!(account.left_over(), ["cluster after"]);
    let outcomes: Vec<_> = account.changes().into_iter().map(|(call, outcome)| (call.number, outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::Refused(ApiFault::Unavailable)), (2, Outcome::AnswerLost)]);
}

#[test]
fn without_credentials_nothing_is_answered_until_they_are_renewed() {
    let account = account();
    account.faults().expire_credentials();
    for request in [Request::CallerIdentity, create("shop")] {
        assert_eq!(ask(&*account, request).expect_err("is refused").fault, ApiFault::Credentials);
    }
    account.faults().renew_credentials();
    assert!(ask(&*account, create("shop")).is_ok());
}

#[test]
fn a_hook_is_told_every_call_and_may_decide() {
    let account = account();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let looked_at = Arc::clone(&account);
    account.faults().on_call(move |call| {
        let clusters = looked_at.inventory().clusters;
        seen.lock().expect("whole").push((call.number, call.request.operation(), clusters));
        (call.number == 3).then_some(Verdict::Refuse(ApiFault::Denied))
    });
    ask(&*account, create("shop")).expect("is made");
    ask(&*account, Request::CallerIdentity).expect("is answered");
    assert_eq!(ask(&*account, Request::CallerIdentity).expect_err("the third").fault, ApiFault::Denied);
    let expected =
        [(1, Operation::CreateCluster, 0), (2, Operation::CallerIdentity, 1), (3, Operation::CallerIdentity, 1)];
    assert_eq!(*told.lock().expect("whole"), expected);
}

#[test]
fn calls_are_counted_by_operation_and_changes_are_remembered() {
    let stage = Stage::open();
    stage.account.reset_counts();
    stage.register("web:1");
    stage.register("web:2");
    stage.ask(Request::CallerIdentity).expect("is answered");
    assert_eq!(stage.account.count(Operation::RegisterTaskDefinition), 2);
    assert_eq!((stage.account.count(Operation::CallerIdentity), stage.account.calls_made()), (1, 3));
    assert_eq!(stage.account.counts().len(), 2);
    let changes = stage.account.changes();
    assert!(changes.len() == 2 && changes.iter().all(|(_, outcome)| *outcome == Outcome::CarriedOut), "{changes:?}");
}

/// Whether a call is answered; one that is not waits for ever.
fn answered(link: &Link, name: &str) -> bool {
    match pin!(link.call(create(name))).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.is_ok(),
        Poll::Pending => false,
    }
}

#[test]
fn a_link_is_cut_before_or_after_a_call_and_its_successor_is_not() {
    let account = account();
    let before = Link::cut_before(&account, 2);
    assert!(answered(&before, "one") && !before.is_cut());
    assert!(!answered(&before, "two") && before.is_cut());
    let after = Link::cut_after(&account, 2);
    assert!(answered(&after, "three"));
    assert!(!answered(&after, "four"), "carried out all the same");
    assert!(!answered(&after, "five"));
    assert_eq!((before.made(), after.made()), (1, 2));
    assert_eq!(account.left_over(), ["cluster four", "cluster one", "cluster three"]);
    let successor = Link::to(&account);
    assert!(answered(&successor, "six"));
    successor.cut_now();
    assert!(!answered(&successor, "seven"));
    assert_eq!(account.inventory().clusters, 4);
}
