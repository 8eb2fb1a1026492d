//! Instances that end by themselves.

use tapit_model::{BlockedCode, InstanceId, InstanceKey, InstanceObserved, InstanceState, ProcessKey, ReasonCode};

use super::stage::{Seen, Stage, key};
use super::{Behaviour, CRASH_CODE, LAST_WORDS, LOG_LINES, Subject};

pub async fn a_killed_instance_is_replaced_and_its_siblings_stay(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let web = key("default");
    let before = stage.run(&web, stage.counts(2, 0)).await;
    let killed = before.instance_key(0);
    subject.kill(&killed).await;
    stage.until(&web, "the killed one has stopped", |seen| is_stopped(seen, &killed.id)).await;
    let after = stage.settled(&web, &stage.counts(2, 0)).await;
    assert!(after.ids().contains(&before.ids()[1]), "{:?} then {:?}", before.ids(), after.ids());
    let gone = after.find(&killed.id).expect("still listed");
    assert_eq!(code(gone), Some(ReasonCode::Crashed), "{gone:?}");
    assert!(gone.last_exit.is_some_and(|exit| exit.code.is_some() || exit.signal.is_some()), "{gone:?}");
    let replacement = after.left().into_iter().find(|one| !before.ids().contains(&one.id.to_string())).cloned();
    let replacement = replacement.expect("a new one");
    assert_eq!(replacement.restarts, 1, "{replacement:?} of {:#?}", after.all());
    assert_eq!(replacement.last_exit, gone.last_exit);
}

pub async fn a_crash_loop_backs_off_and_counts_its_restarts(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let api = key("api");
    stage.apply(&api, stage.formation(Behaviour::Crashes)).await;
    let seen = stage
        .until(&api, "waits after two failures in a row", |seen| {
            seen.is_blocked(BlockedCode::BackOff) && seen.stopped().any(|one| one.restarts >= 1)
        })
        .await;
    let last = seen.stopped().last().expect("just seen");
    assert_eq!(last.last_exit.and_then(|exit| exit.code), Some(CRASH_CODE));
    stage.until(&api, "tries again", |seen| seen.all().iter().any(|one| one.restarts >= 2)).await;
}

pub async fn an_exit_with_0_is_completed_not_crashed(subject: &dyn Subject) {
    ends_as(subject, Behaviour::Completes, ReasonCode::Completed).await;
}

pub async fn an_instance_out_of_memory_says_so(subject: &dyn Subject) {
    let ended = ends_as(subject, Behaviour::OutOfMemory, ReasonCode::OutOfMemory).await;
    assert!(ended.last_exit.is_some_and(|exit| exit.oom), "{ended:?}");
}

pub async fn the_last_lines_of_a_log_can_be_read_while_it_runs_and_after(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let engine = subject.engine();
    let api = key("api");
    let seen = stage.run(&api, stage.counts(1, 0)).await;
    // What it has written may be on its way for a moment.
    let mut all = Vec::new();
    for _ in 0..subject.patience() {
        all = engine.log_tail(&seen.instance_key(0), 100).await.expect("has a log");
        if all.len() >= LOG_LINES.len() {
            break;
        }
        subject.pass().await;
    }
    assert_eq!(all, LOG_LINES);
    let lines = engine.log_tail(&seen.instance_key(0), 2).await.expect("has a log");
    assert_eq!(lines, LOG_LINES[3..]);

    let crashing = key("crashing");
    stage.apply(&crashing, stage.formation(Behaviour::Crashes)).await;
    let seen = stage.until(&crashing, "crashes", |seen| seen.stopped().next().is_some()).await;
    let id = seen.stopped().next().map(|one| one.id.clone()).expect("just seen");
    let lines = engine.log_tail(&InstanceKey { app: crashing.app, id }, 20).await.expect("has a log");
    assert_eq!(lines, [LAST_WORDS]);

    let nobody = InstanceKey { app: api.app, id: InstanceId::opaque("nobody") };
    assert!(engine.log_tail(&nobody, 1).await.is_err());
}

async fn ends_as(subject: &dyn Subject, behaviour: Behaviour, wanted: ReasonCode) -> InstanceObserved {
    let stage = Stage::open(subject).await;
    let api: ProcessKey = key("api");
    stage.apply(&api, stage.formation(behaviour)).await;
    let seen = stage.until(&api, "ends", |seen| seen.stopped().next().is_some()).await;
    let ended = seen.stopped().next().cloned().expect("just seen");
    assert_eq!(code(&ended), Some(wanted), "{ended:?}");
    ended
}

fn is_stopped(seen: &Seen, id: &InstanceId) -> bool {
    seen.find(id).is_some_and(|one| one.state == InstanceState::Stopped)
}

pub(super) fn code(instance: &InstanceObserved) -> Option<ReasonCode> {
    instance.reason.as_ref().map(|reason| reason.code)
}
