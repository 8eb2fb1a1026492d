//! Containers that are made before they are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapit_container::instance::InstanceDir;
use tapit_engine::Engine;
use tapit_engine::conformance::{Behaviour, Subject};
use tapit_model::{
    Formation, InstanceId, InstanceState, Lifecycle, MemoryMib, Presence, ProcessTarget, Revision, Size,
};

use crate::own::{healthy, in_state, instance_key, key, log, start, target, until};
use crate::subject::{Bed, run_own, run_with};

const BUDGET: MemoryMib = MemoryMib::from_mib(64);

fn dir(bed: &Bed, serial: u64) -> InstanceDir {
    bed.instance_dir(&instance_key(&InstanceId::of_serial(&key().process, serial)))
}

fn group(bed: &Bed, serial: u64) -> Option<PathBuf> {
    let order = dir(bed, serial).order().found()?;
    let mount = Path::new("/sys/fs/cgroup/memory");
    let mount = if mount.is_dir() { mount } else { Path::new("/sys/fs/cgroup") };
    Some(mount.join(order.cgroup.as_str().trim_start_matches('/')))
}

/// Process 1 of the container that waits in the place of a serial.
fn spare(bed: &Bed, serial: u64) -> Option<i32> {
    let pids = fs::read_to_string(group(bed, serial)?.join("cgroup.procs")).ok()?;
    // A process tells its number in each namespace, the innermost last.
    let is_init = |pid: &&str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let numbers: Vec<_> = numbers.split_whitespace().collect();
        numbers.len() > 1 && numbers.last() == Some(&"1")
    };
    let waits = dir(bed, serial).record().found().is_none();
    pids.lines().find(is_init).filter(|_| waits)?.parse().ok()
}

async fn made(bed: &Bed, serial: u64) -> i32 {
    eventually(bed, "a spare is made", || spare(bed, serial)).await
}

async fn gone(bed: &Bed, serial: u64) {
    eventually(bed, "the spare is gone", || (!dir(bed, serial).path().exists()).then_some(())).await;
}

async fn eventually<T>(bed: &Bed, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..bed.patience() {
        if let Some(found) = look() {
            return found;
        }
        bed.pass().await;
    }
    panic!("does not come so far: {what}");
}

fn process_1(bed: &Bed, serial: u64) -> i32 {
    dir(bed, serial).record().found().expect("it was started").init.pid
}

async fn apply(bed: &Bed, formation: Formation) {
    bed.embedded().apply(target(formation)).await.expect("takes orders");
}

/// One healthy instance and a spare for the next. Answers the spare's process 1.
async fn with_a_spare(bed: &Bed, formation: &Formation) -> i32 {
    start(bed, formation.clone()).await;
    healthy(bed, 1).await;
    made(bed, 2).await
}

#[test]
fn a_spare_is_no_instance_until_it_is_needed_and_then_it_is_the_next_one() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            let waits = with_a_spare(bed, &formation).await;
            assert_eq!(until(bed, "one is seen", |seen| !seen.is_empty()).await.len(), 1);
            assert_eq!(bed.embedded().capacity().expect("counts").used, formation.size.memory);
            let next = instance_key(&InstanceId::of_serial(&key().process, 2));
            assert!(bed.embedded().log_tail(&next, 9).await.is_err(), "nobody knows of it");
            apply(bed, Formation { demand: 2, ..formation }).await;
            healthy(bed, 2).await;
            assert_eq!(process_1(bed, 2), waits, "the container that was waiting");
            made(bed, 3).await;
        })
    });
}

#[test]
fn a_restart_and_a_crash_take_the_spare() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            start(bed, formation.clone()).await;
            let first = healthy(bed, 1).await;
            let waits = made(bed, 2).await;
            bed.kill(&instance_key(&first[0].id)).await;
            until(bed, "it is replaced", |seen| seen.len() == 2 && in_state(seen, InstanceState::Healthy) == 1).await;
            assert_eq!(process_1(bed, 2), waits);
            let waits = made(bed, 3).await;
            apply(bed, Formation { generation: 2, ..formation }).await;
            until(bed, "the new generation", |seen| {
                seen.iter().any(|one| one.generation == 2 && one.state == InstanceState::Healthy)
            })
            .await;
            assert_eq!(process_1(bed, 3), waits);
        })
    });
}

#[test]
fn a_size_that_was_changed_meanwhile_is_in_force_when_a_spare_starts() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            let waits = with_a_spare(bed, &formation).await;
            let size = Size { memory: MemoryMib::from_mib(48), ..formation.size };
            apply(bed, Formation { size, demand: 2, ..formation }).await;
            healthy(bed, 2).await;
            assert_eq!(process_1(bed, 2), waits);
            let group = group(bed, 2).expect("has an order");
            let limit = ["memory.limit_in_bytes", "memory.max"].map(|name| fs::read_to_string(group.join(name)).ok());
            let limit = limit.into_iter().flatten().next().expect("has a limit");
            assert_eq!(limit.trim(), size.memory.bytes().to_string());
        })
    });
}

#[test]
fn a_spare_that_was_made_from_something_else_is_not_started() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.shell("echo colour $COLOUR; exec sleep 1000");
            let waits = with_a_spare(bed, &formation).await;
            let variables = vec![("COLOUR".to_owned(), "blue".to_owned())];
            let changed = Formation { generation: 2, variables, ..formation };
            apply(bed, changed.clone()).await;
            until(bed, "the new generation alone", |seen| {
                let healthy = |generation| {
                    seen.iter().any(|one| one.generation == generation && one.state == InstanceState::Healthy)
                };
                healthy(2) && !healthy(1)
            })
            .await;
            assert_ne!(process_1(bed, 2), waits);
            assert_eq!(log(bed, &InstanceId::of_serial(&key().process, 2)).await, ["colour blue"]);
        })
    });
}

#[test]
fn spares_go_when_their_process_is_scaled_to_nothing_or_removed() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            with_a_spare(bed, &formation).await;
            apply(bed, Formation { demand: 0, ..formation.clone() }).await;
            gone(bed, 2).await;
            apply(bed, formation).await;
            until(bed, "one again", |seen| in_state(seen, InstanceState::Healthy) == 1).await;
            made(bed, 3).await;
            let absent = Presence::Absent(Lifecycle::default());
            let absent = ProcessTarget { key: key(), revision: Revision(u64::MAX), presence: absent };
            bed.embedded().apply(absent).await.expect("takes orders");
            gone(bed, 3).await;
        })
    });
}

#[test]
fn a_server_that_ends_leaves_no_spare_behind() {
    run_with(BUDGET, |bed| {
        Box::pin(async move {
            let formation = bed.formation(Behaviour::Serves);
            with_a_spare(bed, &formation).await;
            bed.close().await;
            assert!(!dir(bed, 2).path().exists());
            bed.open().await;
            bed.embedded().adopt(vec![target(formation)]).await.expect("adopts");
            assert_eq!(healthy(bed, 1).await.len(), 1);
        })
    });
}

#[test]
fn without_memory_for_them_no_spares_are_made() {
    run_own(|bed| {
        Box::pin(async move {
            start(bed, bed.formation(Behaviour::Serves)).await;
            healthy(bed, 1).await;
            // Longer than the calm that a spare waits for.
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(!dir(bed, 2).path().exists());
        })
    });
}
