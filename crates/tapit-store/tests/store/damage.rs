//! Files that are not what they should be are refused with a sentence that says what to do, and left as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tapit_model::Change;

use crate::fixture::{Place, app, app_name, event, instance, key, process};

fn filled(place: &Place) {
    let key = key("shop", "web");
    let mut store = place.open();
    store
        .commit(&[Change::PutApp(app("shop")), Change::PutProcess(process(&key, 1, 1))], &[event("shop", None, "x")])
        .expect("legal");
    store.observe(&key, &[instance("web", 1)], &[]).expect("legal");
}

#[test]
fn only_the_owner_may_read_the_file() {
    let place = Place::new();
    filled(&place);
    let mode = fs::metadata(place.database()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_kept() {
    let place = Place::new();
    filled(&place);
    let own = place.number("PRAGMA user_version");
    place.tamper("PRAGMA user_version = 99");
    let text = place.refusal();
    assert!(text.contains("newer tapit") && text.contains("99"), "{text}");
    place.tamper(&format!("PRAGMA user_version = {own}"));
    assert!(place.open().load().expect("it loads").apps.contains_key(&app_name("shop")));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let place = Place::new();
    place.tamper("CREATE TABLE theirs (x); PRAGMA user_version = 1");
    assert!(place.refusal().contains("not one of tapit"));
}

#[test]
fn an_empty_file_is_damage_and_not_a_fresh_start() {
    let place = Place::new();
    filled(&place);
    fs::write(place.database(), "").expect("written");
    let text = place.refusal();
    assert!(text.contains("only 0 bytes") && text.contains("backup") && text.contains("tapit.db"), "{text}");
    assert_eq!(fs::metadata(place.database()).expect("it is there").len(), 0);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    fs::write(place.database(), "hello\n".repeat(1000)).expect("written");
    assert!(place.refusal().contains("damaged"));
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let place = Place::new();
    filled(&place);
    let whole = fs::read(place.database()).expect("read");
    for length in [1, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(place.database(), &whole[..length]).expect("written");
        let text = place.refusal();
        assert!(text.contains("damaged"), "{length} of {} bytes: {text}", whole.len());
    }
}

#[test]
fn a_log_without_its_database_is_not_taken_for_a_fresh_start() {
    let place = Place::new();
    fs::write(place.beside("-wal"), "what was committed last").expect("written");
    assert!(place.refusal().contains("is gone"));
}

#[test]
fn a_creation_that_was_interrupted_is_begun_anew() {
    let place = Place::new();
    fs::write(place.beside(".new"), "half").expect("written");
    fs::write(place.beside(".new-journal"), "half").expect("written");
    filled(&place);
    assert!(!place.beside(".new").exists() && !place.beside(".new-journal").exists());
}

#[test]
fn a_damaged_row_is_named() {
    for (table, damage, named) in [
        ("apps", "UPDATE apps SET body = '{'", "shop"),
        ("processes", "UPDATE processes SET body = '{}'", "shop/web"),
        ("processes", "UPDATE processes SET body = replace(body, '\"web\"', '\"api\"')", "shop/web"),
        ("marks", "UPDATE marks SET process = 'UPPER'", "shop/UPPER"),
        ("counters", "DELETE FROM counters", "next_rollout"),
        ("counters", "DELETE FROM counters WHERE name = 'next_task'", "next_task"),
    ] {
        let place = Place::new();
        filled(&place);
        place.tamper(damage);
        let text = place.open().load().expect_err(damage).to_string();
        assert!(text.contains(&format!("table {table}")) && text.contains(named), "{damage}: {text}");
    }
}

#[test]
fn a_damaged_sight_or_event_is_named() {
    let place = Place::new();
    filled(&place);
    place.tamper("UPDATE instances SET body = 'x'; UPDATE events SET kind = 'of_the_future'");
    let store = place.open();
    let sight = store.observed().expect_err("damaged").to_string();
    assert!(sight.contains("table instances") && sight.contains("shop/web/web.1"), "{sight}");
    let filter = tapit_store::EventFilter { limit: 9, ..Default::default() };
    let event = store.events(&filter).expect_err("damaged").to_string();
    assert!(event.contains("table events") && event.contains("\"1\""), "{event}");
}

#[test]
fn a_directory_that_is_missing_is_said() {
    let place = Place::new();
    let error = tapit_store::Store::open(&place.database().join("deeper")).expect_err("no such directory");
    assert!(error.to_string().contains("cannot make the database file"), "{error}");
}
