//! One-off tasks: their rows, the counter of their numbers, and databases from before there were any.

use tapit_model::{Change, InstanceObserved, ProcessKey, Revision, TaskId};
use tapit_store::Store;

use crate::fixture::{Place, app, app_name, generation, instance, key, process, task};

fn task_key(id: u64) -> ProcessKey {
    TaskId(id).key(&app_name("shop"))
}

/// The app `shop` with its process `web`, the tasks 1 (ended) and 2, and what was seen of them.
fn filled(place: &Place) -> Store {
    let mut store = place.open();
    let changes = [
        Change::PutApp(app("shop")),
        Change::PutProcess(process(&key("shop", "web"), 7, 40)),
        Change::PutProcess(task("shop", 1, Some(3))),
        Change::PutGeneration(generation(&task_key(1), 1)),
        Change::PutProcess(task("shop", 2, None)),
    ];
    store.commit(&changes, &[]).expect("legal");
    store.observe(&task_key(1), &[seen(1)], &[]).expect("legal");
    store
}

fn seen(id: u64) -> InstanceObserved {
    instance(task_key(id).process.as_str(), 1)
}

#[test]
fn a_task_its_end_and_its_number_survive() {
    let place = Place::new();
    drop(filled(&place));
    let store = place.open();
    let world = store.load().expect("it loads");
    assert_eq!(world.processes.get(&task_key(1)), Some(&task("shop", 1, Some(3))));
    assert_eq!(world.processes.get(&task_key(2)), Some(&task("shop", 2, None)));
    assert_eq!(world.next_task, TaskId(3));
    assert_eq!(store.observed().expect("it loads"), [(task_key(1), vec![seen(1)])]);
}

#[test]
fn a_task_that_goes_takes_its_marks_along_and_not_those_of_others() {
    let place = Place::new();
    let mut store = filled(&place);
    let all = [task_key(1), task_key(2), key("shop", "web")].map(Change::RemoveProcess);
    store.commit(&all, &[]).expect("legal");
    store.commit(&[Change::RemoveApp(app_name("shop"))], &[]).expect("legal");
    drop(store);
    let store = place.open();
    let world = store.load().expect("it loads");
    assert_eq!(world.marks.into_iter().collect::<Vec<_>>(), [(key("shop", "web"), (7, Revision(40)))]);
    assert!(world.processes.is_empty() && world.generations.is_empty());
    assert!(store.observed().expect("it loads").is_empty());
    assert_eq!(world.next_task, TaskId(3), "no number is given twice");
}

#[test]
fn an_older_number_does_not_turn_the_counter_back() {
    let place = Place::new();
    let mut store = filled(&place);
    store.commit(&[Change::PutProcess(task("shop", 9, None))], &[]).expect("legal");
    store.commit(&[Change::PutProcess(task("shop", 2, Some(0)))], &[]).expect("legal");
    assert_eq!(store.load().expect("it loads").next_task, TaskId(10));
}

#[test]
fn a_database_from_before_there_were_tasks_is_brought_up_to_date() {
    let place = Place::new();
    let known = [Change::PutApp(app("shop")), Change::PutProcess(process(&key("shop", "web"), 7, 40))];
    place.open().commit(&known, &[]).expect("legal");
    let own = place.number("PRAGMA user_version");
    let with_tasks = "SELECT count(*) FROM processes WHERE json_type(body, '$.task') IS NOT NULL";
    assert_eq!(place.number(with_tasks), 1, "the key is written");
    place.tamper(
        "DELETE FROM counters WHERE name = 'next_task';
         UPDATE processes SET body = json_remove(body, '$.task');
         PRAGMA user_version = 1",
    );
    assert_eq!(place.number(with_tasks), 0);
    let mut store = place.open();
    let world = store.load().expect("it loads");
    assert_eq!(world.processes.get(&key("shop", "web")), Some(&process(&key("shop", "web"), 7, 40)));
    assert_eq!(world.next_task, TaskId(0));
    store.commit(&[Change::PutProcess(task("shop", 1, None))], &[]).expect("legal");
    // The row that is still written as it was is one of a process, whose marks stay.
    store.commit(&[Change::RemoveProcess(key("shop", "web"))], &[]).expect("legal");
    drop(store);
    let world = place.open().load().expect("it loads");
    assert_eq!(world.next_task, TaskId(2));
    assert!(world.marks.contains_key(&key("shop", "web")));
    assert_eq!(place.number("PRAGMA user_version"), own);
}
