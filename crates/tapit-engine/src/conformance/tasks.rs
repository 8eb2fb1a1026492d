//! Processes whose one instance is never replaced.

use tapit_model::{Check, Formation, InstanceId, InstanceKey, InstanceState, ReasonCode, Restart, Seconds};

use super::failures::code;
use super::stage::{Seen, Stage, key};
use super::{Behaviour, CRASH_CODE, LAST_WORDS, Subject};

/// So often it is looked whether another instance comes.
const LOOKS: u32 = 20;

pub async fn a_task_runs_once_and_tells_how_it_ended(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    for (name, behaviour, wanted, status) in [
        ("migrate", Behaviour::Completes, ReasonCode::Completed, 0),
        ("report", Behaviour::Crashes, ReasonCode::Crashed, CRASH_CODE),
    ] {
        let task = key(name);
        stage.apply(&task, once(&stage, behaviour)).await;
        let seen = stage.until(&task, "ends", has_ended).await;
        let ended = &seen.all()[0];
        assert_eq!(code(ended), Some(wanted), "{ended:?}");
        assert_eq!(ended.last_exit.and_then(|exit| exit.code), Some(status), "{ended:?}");
        let seen = none_other_comes(&stage, &seen).await;
        assert!(seen.process.as_ref().is_some_and(|process| process.blocked.is_empty()), "{seen:?}");
        if behaviour == Behaviour::Crashes {
            let instance = InstanceKey { app: task.app.clone(), id: seen.all()[0].id.clone() };
            let said = subject.engine().log_tail(&instance, 10).await.expect("has a log");
            assert_eq!(said, [LAST_WORDS]);
        }
    }
}

pub async fn a_task_is_stopped_and_stays_known(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let task = key("report");
    let wanted = once(&stage, Behaviour::Serves);
    stage.apply(&task, wanted.clone()).await;
    stage.until(&task, "runs", |seen| seen.all().iter().any(|one| one.state == InstanceState::Healthy)).await;
    stage.apply(&task, Formation { demand: 0, ..wanted }).await;
    let seen = stage.until(&task, "ends", has_ended).await;
    assert_eq!(code(&seen.all()[0]), Some(ReasonCode::Surplus), "{seen:?}");
    none_other_comes(&stage, &seen).await;
    stage.delete(&task).await;
    stage.until(&task, "is forgotten", |seen| seen.process.is_none()).await;
}

pub async fn a_task_goes_on_under_a_new_server_and_does_not_run_again(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let (runs, ended) = (key("report"), key("migrate"));
    let targets = [
        stage.target(&runs, once(&stage, Behaviour::Serves)),
        stage.target(&ended, once(&stage, Behaviour::Completes)),
    ];
    for target in &targets {
        subject.engine().apply(target.clone()).await.expect("takes orders");
    }
    let first =
        stage.until(&runs, "runs", |seen| seen.all().iter().any(|one| one.state == InstanceState::Healthy)).await;
    let last = stage.until(&ended, "ends", has_ended).await;
    subject.reopen().await;
    subject.engine().adopt(targets.to_vec()).await.expect("adopts");
    let seen = stage.until(&runs, "is seen again", |seen| !seen.all().is_empty()).await;
    assert_eq!(ids(&seen), ids(&first));
    assert_eq!(seen.all()[0].state, InstanceState::Healthy);
    stage.until(&ended, "is seen again", |seen| !seen.all().is_empty()).await;
    none_other_comes(&stage, &last).await;
}

fn once(stage: &Stage<'_>, behaviour: Behaviour) -> Formation {
    Formation { restart: Restart::Never, check: Check::Uptime(Seconds(0)), ..stage.formation(behaviour) }
}

fn has_ended(seen: &Seen) -> bool {
    seen.all().iter().any(|one| one.state == InstanceState::Stopped)
}

/// Also of those that have stopped.
fn ids(seen: &Seen) -> Vec<&InstanceId> {
    seen.all().iter().map(|one| &one.id).collect()
}

/// Looks on for a while.
async fn none_other_comes(stage: &Stage<'_>, before: &Seen) -> Seen {
    let mut seen = before.clone();
    for _ in 0..LOOKS {
        seen = stage.until(before.key(), "is looked at", |seen| seen.process.is_some()).await;
        assert_eq!(ids(&seen), ids(before));
        stage.subject.pass().await;
    }
    seen
}
