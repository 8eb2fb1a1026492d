//! The rows mean what `World::apply` means, for any sequence of changes, also after the file was opened again.

use tapit_model::{
    AppName, Change, CommandLine, Exit, ImageRef, ImageSource, ProcessKey, Revision, Rollout, RolloutState, Timestamp,
    World,
};

use crate::fixture::{Place, app, app_name, event, generation, key, process, rollout, task};

/// SplitMix64: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn of<T: Clone>(&mut self, values: &[T]) -> Option<T> {
        let bound = u64::try_from(values.len()).ok().filter(|bound| *bound > 0)?;
        values.get(usize::try_from(self.below(bound)).ok()?).cloned()
    }
}

/// A change that fits the world: no process without its app, no generation without its process.
fn change(dice: &mut Dice, world: &World) -> Option<Change> {
    let apps: Vec<AppName> = world.apps.keys().cloned().collect();
    let keys: Vec<ProcessKey> = world.processes.keys().cloned().collect();
    match dice.below(10) {
        0 => {
            let mut app = app(dice.of(&["shop", "blog", "a", "z-9"])?);
            app.deleting = dice.below(3) == 0;
            app.image = app.image.filter(|_| dice.below(2) == 0);
            Some(Change::PutApp(app))
        }
        1 | 2 => {
            let name = dice.of(&["default", "worker", "api", "w", "task-2"])?;
            let mut process = process(&key(dice.of(&apps)?.as_str(), name), dice.below(9), dice.below(99));
            process.spec.command = CommandLine::parse("a 'b c' && d").ok().filter(|_| dice.below(2) == 0);
            process.spec.disabled = dice.below(2) == 0;
            process.restarted_at = Some(Timestamp(-1)).filter(|_| dice.below(2) == 0);
            Some(Change::PutProcess(process))
        }
        3 | 4 => {
            let mut generation = generation(&dice.of(&keys)?, dice.below(9));
            if let Ok(image) = ImageRef::parse("127.0.0.1:5000/x:v1") {
                generation.template.image = ImageSource::Named(image);
            }
            Some(Change::PutGeneration(generation))
        }
        5 => Some(Change::RemoveGeneration(dice.of(&keys)?, dice.below(9))),
        6 => {
            let exit = Exit { code: None, signal: Some(9), oom: true, at: Timestamp(9) };
            let rollout = rollout(&dice.of(&keys)?, dice.below(50));
            let rollout = Rollout { state: RolloutState::Failed, last_exit: Some(exit), ..rollout };
            Some(Change::PutRollout(rollout))
        }
        7 => Some(Change::RemoveProcess(dice.of(&keys)?)),
        8 => {
            let status = [None, Some(0), Some(3)];
            let mut task = task(dice.of(&apps)?.as_str(), dice.below(4), dice.of(&status)?);
            (task.generation, task.revision) = (dice.below(9), Revision(dice.below(99)));
            Some(Change::PutProcess(task))
        }
        _ => {
            let bare = |name: &AppName| !keys.iter().any(|key| key.app == *name);
            let empty: Vec<AppName> = apps.into_iter().filter(bare).collect();
            dice.of(&empty).map(Change::RemoveApp)
        }
    }
}

#[test]
fn any_sequence_of_changes_loads_as_the_world_that_it_makes() {
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let place = Place::new();
        let mut store = place.open();
        let mut world = World::default();
        for step in 0..60 {
            let mut batch = Vec::new();
            for _ in 0..dice.below(4) {
                if let Some(change) = change(&mut dice, &world) {
                    world.apply(&change);
                    batch.push(change);
                }
            }
            store.commit(&batch, &[]).expect("the batch is legal");
            if dice.below(10) == 0 {
                drop(store);
                store = place.open();
            }
            assert_eq!(store.load().expect("it loads"), world, "seed {seed}, step {step}, after {batch:?}");
        }
        drop(store);
        assert_eq!(place.open().load().expect("it loads"), world, "seed {seed}, opened again");
    }
}

#[test]
fn a_new_store_holds_an_empty_world() {
    let place = Place::new();
    assert_eq!(place.open().load().expect("it loads"), World::default());
    assert_eq!(place.open().load().expect("it loads"), World::default());
}

#[test]
fn changes_of_one_commit_may_come_in_any_order() {
    let place = Place::new();
    let key = key("shop", "default");
    let changes = [
        Change::PutGeneration(generation(&key, 1)),
        Change::PutRollout(rollout(&key, 4)),
        Change::PutProcess(process(&key, 1, 2)),
        Change::PutApp(app("shop")),
    ];
    place.open().commit(&changes, &[]).expect("complete in the end");
    assert_eq!(place.open().load().expect("it loads").next_rollout, 5);
}

#[test]
fn a_commit_that_fails_leaves_nothing_behind() {
    let place = Place::new();
    let mut store = place.open();
    let orphan = Change::PutGeneration(generation(&key("shop", "default"), 1));
    let batch = [Change::PutApp(app("shop")), orphan];
    assert!(store.commit(&batch, &[event("shop", None, "half")]).is_err());
    assert_eq!(store.load().expect("it loads"), World::default());
    assert!(store.events(&all()).expect("they list").is_empty());

    store.commit(&[Change::PutApp(app("shop"))], &[]).expect("the store goes on");
    assert!(store.load().expect("it loads").apps.contains_key(&app_name("shop")));
}

#[test]
fn numbers_of_a_deleted_process_are_remembered() {
    let place = Place::new();
    let mut store = place.open();
    let key = key("shop", "default");
    let puts =
        [Change::PutApp(app("shop")), Change::PutProcess(process(&key, 7, 40)), Change::PutRollout(rollout(&key, 8))];
    store.commit(&puts, &[]).expect("legal");
    store.commit(&[Change::RemoveProcess(key.clone()), Change::RemoveApp(app_name("shop"))], &[]).expect("legal");
    drop(store);

    let world = place.open().load().expect("it loads");
    assert!(world.processes.is_empty() && world.rollouts.is_empty() && world.apps.is_empty());
    assert_eq!(world.marks.get(&key).map(|(generation, revision)| (*generation, revision.0)), Some((7, 40)));
    assert_eq!(world.next_rollout, 9);
}

fn all() -> tapit_store::EventFilter {
    tapit_store::EventFilter { limit: 100, ..Default::default() }
}
