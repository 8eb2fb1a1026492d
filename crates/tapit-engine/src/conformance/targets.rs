//! Targets: taken or refused, reached, changed, and gone.

use tapit_model::{Formation, ProcessTarget, Revision};

use super::stage::{Stage, key};
use super::{Behaviour, Nature, Subject};
use crate::Applied;

pub async fn counts_are_reached(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let seen = stage.run(&web, stage.counts(2, 1)).await;
    let process = seen.process.as_ref().expect("listed");
    assert_eq!(process.blocked, []);
    assert_eq!(process.failure, None);
    for instance in seen.left() {
        assert!(instance.healthy_at.is_some() && instance.started_at.is_some(), "{instance:?}");
        let needs_port = stage.nature() == Nature::Own;
        assert!(instance.ip.is_some() && (instance.port.is_some() || !needs_port), "{instance:?}");
        assert_eq!(instance.restarts, 0);
    }
}

pub async fn an_older_revision_is_stale(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let old = stage.target(&api, stage.counts(3, 0));
    let formation = stage.counts(1, 0);
    let before = stage.run(&api, formation.clone()).await;
    assert_eq!(subject.engine().apply(old).await.expect("answers"), Applied::Stale);
    let after = stage.settled(&api, &formation).await;
    assert_eq!(before.ids(), after.ids());
    assert_eq!(after.process.map(|process| process.revision), before.process.map(|process| process.revision));
}

pub async fn the_same_target_again_changes_nothing(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let target = stage.target(&api, stage.counts(2, 0));
    let engine = subject.engine();
    assert_eq!(engine.apply(target.clone()).await.expect("answers"), Applied::Accepted);
    let before = stage.settled(&api, &stage.counts(2, 0)).await;
    assert_eq!(engine.apply(target.clone()).await.expect("answers"), Applied::Accepted);
    let newer = ProcessTarget { revision: Revision(target.revision.0 + 1), ..target };
    assert_eq!(engine.apply(newer.clone()).await.expect("answers"), Applied::Accepted);
    let seen = stage
        .until(&api, "shows the newer revision", |seen| {
            seen.process.as_ref().is_some_and(|process| process.revision == newer.revision)
        })
        .await;
    assert_eq!(seen.ids(), before.ids());
}

pub async fn scaling_up_starts_only_what_is_missing(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let before = stage.run(&web, stage.counts(1, 1)).await;
    let after = stage.run(&web, stage.counts(3, 2)).await;
    assert!(before.ids().iter().all(|id| after.ids().contains(id)), "{:?} then {:?}", before.ids(), after.ids());
    assert_eq!(after.stopped().count(), 0);
}

pub async fn scaling_down_keeps_the_oldest(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let first = stage.run(&web, stage.counts(1, 0)).await;
    stage.run(&web, stage.counts(3, 0)).await;
    let last = stage.run(&web, stage.counts(1, 0)).await;
    match stage.nature() {
        Nature::Own => assert_eq!(first.ids(), last.ids()),
        Nature::Managed => assert_eq!(last.ids().len(), 1),
    }
    for stopped in last.stopped() {
        let code = stopped.reason.as_ref().map(|reason| reason.code);
        assert_eq!(code, Some(tapit_model::ReasonCode::Surplus), "{stopped:?}");
    }
}

pub async fn scaling_to_zero_and_back(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    stage.run(&web, stage.counts(2, 0)).await;
    let none = stage.run(&web, stage.counts(0, 0)).await;
    assert!(none.process.is_some(), "a process without instances is still listed");
    assert_eq!(subject.routes().routed(&web), 0);
    stage.run(&web, stage.counts(1, 0)).await;
}

pub async fn an_absent_process_is_forgotten_once_nothing_of_it_runs(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let (web, api) = (key("default"), key("api"));
    stage.run(&web, stage.counts(2, 0)).await;
    let sibling = stage.run(&api, stage.counts(1, 0)).await;
    stage.delete(&web).await;
    stage.until(&web, "is not listed any more", |seen| seen.process.is_none()).await;
    assert_eq!(subject.routes().routed(&web), 0);
    assert_eq!(stage.settled(&api, &stage.counts(1, 0)).await.ids(), sibling.ids(), "a sibling is never touched");
}

pub async fn ids_are_not_used_again_after_a_deletion(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let before = stage.run(&api, stage.counts(1, 0)).await;
    stage.delete(&api).await;
    stage.until(&api, "is not listed any more", |seen| seen.process.is_none()).await;
    let after = stage.run(&api, stage.counts(1, 0)).await;
    assert_ne!(before.ids(), after.ids());
}

pub async fn a_change_wakes_whoever_watches(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    let mut changes = subject.engine().changes();
    changes.mark_unchanged();
    stage.run(&api, Formation { generation: 1, ..stage.formation(Behaviour::Serves) }).await;
    assert!(changes.has_changed().expect("the engine is there"));
}
