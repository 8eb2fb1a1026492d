//! What was seen last of each process.

use tapit_model::{Change, Exit, InstanceObserved, InstanceState, ProcessKey, Reason, ReasonCode, Timestamp};
use tapit_store::{EventFilter, Store};

use crate::fixture::{Place, app, event, instance, key, process};

fn with_processes(place: &Place, keys: &[&ProcessKey]) -> Store {
    let mut store = place.open();
    let mut changes = vec![Change::PutApp(app("shop"))];
    changes.extend(keys.iter().map(|key| Change::PutProcess(process(key, 1, 1))));
    store.commit(&changes, &[]).expect("legal");
    store
}

#[test]
fn the_last_sight_replaces_the_one_before_and_survives() {
    let place = Place::new();
    let (web, api) = (key("shop", "web"), key("shop", "api"));
    let mut store = with_processes(&place, &[&web, &api]);
    let stopped = InstanceObserved {
        state: InstanceState::Stopped,
        reason: Some(Reason { code: ReasonCode::OutOfMemory, text: "out of memory".to_owned() }),
        last_exit: Some(Exit { code: None, signal: Some(9), oom: true, at: Timestamp(11) }),
        ..instance("web", 10)
    };
    store.observe(&web, &[instance("web", 1)], &[]).expect("legal");
    store.observe(&api, &[instance("api", 1)], &[]).expect("legal");
    // Serial 2 after 10: the order is the engine's, not that of the names.
    let seen = [stopped, instance("web", 2)];
    store.observe(&web, &seen, &[event("shop", Some("web"), "one more")]).expect("legal");
    drop(store);

    let store = place.open();
    let expected = vec![(api, vec![instance("api", 1)]), (web, seen.to_vec())];
    assert_eq!(store.observed().expect("it loads"), expected);
    assert_eq!(store.events(&EventFilter { limit: 9, ..EventFilter::default() }).expect("they list").len(), 1);
}

#[test]
fn whatever_changes_between_two_sights_the_last_one_is_what_is_kept() {
    let place = Place::new();
    let web = key("shop", "web");
    let mut store = with_processes(&place, &[&web]);
    let starting = InstanceObserved { state: InstanceState::Starting, ..instance("web", 3) };
    for sight in [
        vec![instance("web", 1), instance("web", 2), starting],
        // One changed, one came, one went from the middle, and all but the last went.
        vec![instance("web", 1), instance("web", 2), instance("web", 3)],
        vec![instance("web", 1), instance("web", 2), instance("web", 3), instance("web", 4)],
        vec![instance("web", 1), instance("web", 3), instance("web", 4)],
        vec![instance("web", 4)],
    ] {
        store.observe(&web, &sight, &[]).expect("legal");
        assert_eq!(store.observed().expect("it loads"), vec![(web.clone(), sight)]);
    }
}

#[test]
fn a_process_without_instances_has_no_rows() {
    let place = Place::new();
    let web = key("shop", "web");
    let mut store = with_processes(&place, &[&web]);
    store.observe(&web, &[instance("web", 1)], &[]).expect("legal");
    store.observe(&web, &[], &[]).expect("legal");
    assert!(store.observed().expect("it loads").is_empty());
}

#[test]
fn a_removed_process_leaves_no_rows_and_a_late_sight_of_it_adds_none() {
    let place = Place::new();
    let web = key("shop", "web");
    let mut store = with_processes(&place, &[&web]);
    store.observe(&web, &[instance("web", 1)], &[]).expect("legal");
    store.commit(&[Change::RemoveProcess(web.clone())], &[]).expect("legal");
    assert!(store.observed().expect("it loads").is_empty());

    store.observe(&web, &[instance("web", 1)], &[event("shop", Some("web"), "gone")]).expect("legal");
    assert!(store.observed().expect("it loads").is_empty());
    assert_eq!(store.events(&EventFilter { limit: 9, ..EventFilter::default() }).expect("they list").len(), 1);
}
