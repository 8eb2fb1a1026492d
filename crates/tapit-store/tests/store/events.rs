//! The log of events: what is listed, in which order, and how much is kept.

use tapit_model::{Change, Event, ProcessName};
use tapit_store::{EventFilter, Store};

use crate::fixture::{Place, app, app_name, event};

fn texts(store: &Store, filter: &EventFilter) -> Vec<String> {
    store.events(filter).expect("they list").into_iter().map(|(_, event)| event.text).collect()
}

fn newest(limit: u32) -> EventFilter {
    EventFilter { limit, ..EventFilter::default() }
}

fn append(store: &mut Store, events: &[Event]) {
    store.commit(&[], events).expect("events alone are a legal commit");
}

#[test]
fn an_event_comes_back_as_it_was() {
    let place = Place::new();
    let written = [event("shop", Some("web"), "two\nlines"), event("shop", None, "")];
    append(&mut place.open(), &written);
    let read: Vec<Event> = place.open().events(&newest(9)).expect("they list").into_iter().map(|(_, e)| e).collect();
    assert_eq!(read, written);
}

#[test]
fn the_newest_are_listed_newest_last() {
    let place = Place::new();
    let mut store = place.open();
    append(&mut store, &["a", "b", "c", "d"].map(|text| event("shop", None, text)));
    assert_eq!(texts(&store, &newest(2)), ["c", "d"]);
    assert!(texts(&store, &newest(0)).is_empty());
}

#[test]
fn after_an_id_the_next_ones_are_listed_so_that_none_is_missed() {
    let place = Place::new();
    let mut store = place.open();
    append(&mut store, &["a", "b", "c", "d"].map(|text| event("shop", None, text)));
    let (first, _) = store.events(&newest(4)).expect("they list").first().cloned().expect("there is one");
    let after = |id| EventFilter { after_id: Some(id), limit: 2, ..EventFilter::default() };
    assert_eq!(texts(&store, &after(first)), ["b", "c"]);
    assert_eq!(texts(&store, &after(first + 2)), ["d"]);
    assert!(texts(&store, &after(u64::MAX)).is_empty());
}

#[test]
fn events_are_filtered_by_app_and_process() {
    let place = Place::new();
    let mut store = place.open();
    append(
        &mut store,
        &[event("shop", Some("web"), "a"), event("blog", Some("web"), "b"), event("shop", Some("api"), "c")],
    );
    let shop = EventFilter { app: Some(app_name("shop")), limit: 9, ..EventFilter::default() };
    assert_eq!(texts(&store, &shop), ["a", "c"]);
    let web = EventFilter { process: ProcessName::parse("web").ok(), limit: 9, ..EventFilter::default() };
    assert_eq!(texts(&store, &web), ["a", "b"]);
    let both = EventFilter { app: shop.app.clone(), ..web };
    assert_eq!(texts(&store, &both), ["a"]);
}

#[test]
fn each_app_keeps_its_newest_events_within_a_bound() {
    let place = Place::new();
    let mut store = place.open();
    append(&mut store, &[event("blog", None, "quiet")]);
    for batch in 0..11 {
        let noise: Vec<Event> = (0..1000).map(|n| event("shop", None, &format!("{batch}.{n}"))).collect();
        append(&mut store, &noise);
        // What was counted in memory must be what a fresh count finds.
        if batch == 5 {
            drop(store);
            store = place.open();
        }
    }
    let shop = EventFilter { app: Some(app_name("shop")), limit: 20_000, ..EventFilter::default() };
    let kept = texts(&store, &shop);
    assert!((9_500..=10_000).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.last().map(String::as_str), Some("10.999"));
    let blog = EventFilter { app: Some(app_name("blog")), ..shop };
    assert_eq!(texts(&store, &blog), ["quiet"]);
}

#[test]
fn an_id_is_never_given_twice() {
    let place = Place::new();
    let mut store = place.open();
    append(&mut store, &[event("shop", None, "a"), event("shop", None, "b")]);
    let last = store.events(&newest(1)).expect("they list")[0].0;
    drop(store);
    place.tamper("DELETE FROM events");
    let mut store = place.open();
    append(&mut store, &[event("shop", None, "c")]);
    assert!(store.events(&newest(1)).expect("they list")[0].0 > last);
}

#[test]
fn events_of_a_deleted_app_stay() {
    let place = Place::new();
    let mut store = place.open();
    store.commit(&[Change::PutApp(app("shop"))], &[event("shop", None, "created")]).expect("legal");
    store.commit(&[Change::RemoveApp(app_name("shop"))], &[event("shop", None, "deleted")]).expect("legal");
    assert_eq!(texts(&store, &newest(9)), ["created", "deleted"]);
}
