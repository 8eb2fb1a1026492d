//! Processes that run once: exactly one task ever comes of each, whatever is lost in between.

use std::time::Duration;

use tapit_ecs::Ecs;
use tapit_ecs::api::{ApiFault, Operation, Task};
use tapit_ecs::sim::{Account, Behaviour, End, Fault, Verdict};
use tapit_engine::Engine;
use tapit_model::{
    BlockedCode, Check, Formation, InstanceObserved, InstanceState, ProcessObserved, ReasonCode, Restart, Seconds,
};
use tokio::time::sleep;

use crate::stage::{Stage, apply, formation, gone, seen, settled, until};

pub const TASK: &str = "task-1";
const MINUTE: Duration = Duration::from_secs(60);

pub fn once(demand: u32) -> Formation {
    Formation { restart: Restart::Never, check: Check::Uptime(Seconds(0)), ..formation(1, demand, 0) }
}

/// Its containers end by themselves after this time.
pub fn lasting(time: Duration) -> Stage {
    let stage = Stage::open();
    stage.account.behave(move |_| Behaviour::serves().ends_after(time, End::Exit(0)));
    stage
}

/// All that ECS still shows.
pub fn tasks(account: &Account) -> Vec<Task> {
    account.tasks().into_iter().filter(|task| !task.group.starts_with("service:")).collect()
}

pub fn calls(account: &Account, operation: Operation) -> usize {
    account.changes().iter().filter(|(call, _)| call.request.operation() == operation).count()
}

fn the_one(process: &ProcessObserved) -> Option<&InstanceObserved> {
    assert!(process.instances.len() <= 1, "{process:?}");
    process.instances.first()
}

pub async fn in_state(engine: &Ecs, state: InstanceState) -> InstanceObserved {
    until(&format!("it is {}", state.as_str()), async || {
        let process = seen(engine, TASK).await?;
        the_one(&process).filter(|one| one.state == state).cloned()
    })
    .await
}

pub fn code(instance: &InstanceObserved) -> Option<ReasonCode> {
    instance.reason.as_ref().map(|reason| reason.code)
}

pub async fn ended(engine: &Ecs) -> InstanceObserved {
    in_state(engine, InstanceState::Stopped).await
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_alone_and_leaves_no_definition_when_it_has_ended() {
    let stage = lasting(MINUTE);
    let engine = stage.started().await;
    apply(&engine, stage.present(TASK, once(1))).await;
    in_state(&engine, InstanceState::Healthy).await;
    assert_eq!(stage.account.inventory().services, 0);
    let ended = ended(&engine).await;
    assert_eq!((code(&ended), ended.last_exit.and_then(|exit| exit.code)), (Some(ReasonCode::Completed), Some(0)));
    assert_eq!(ended.reason.map(|reason| reason.text).as_deref(), Some("completed"));
    until("nothing is made from its definition", async || {
        (stage.account.inventory().task_definitions == 0).then_some(())
    })
    .await;
    stage.account.reset_counts();
    sleep(120 * MINUTE).await;
    assert_eq!(stage.account.calls_made(), 0, "what has ended costs no calls, and is never asked about again");
    let process = seen(&engine, TASK).await.expect("remembered");
    assert_eq!((the_one(&process).map(|one| one.state), process.failure), (Some(InstanceState::Stopped), None));
    apply(&engine, stage.absent(TASK)).await;
    gone(&engine, TASK).await;
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), Vec::<String>::new());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_was_lost_is_asked_for_again_and_is_the_same_task() {
    let stage = lasting(MINUTE);
    stage.account.faults().add(Fault::next(2).of(Operation::RunTask).with(Verdict::LoseAnswer));
    let engine = stage.engine(stage.metered()).await;
    engine.adopt(Vec::new()).await.expect("adopts nothing");
    apply(&engine, stage.present(TASK, once(1))).await;
    assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed));
    sleep(5 * MINUTE).await;
    assert_eq!(tasks(&stage.account).len(), 1);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_room_it_waits_and_says_so_and_runs_once_there_is_some() {
    let stage = lasting(MINUTE);
    stage.account.set_demand_capacity(Some(0));
    let engine = stage.started().await;
    apply(&engine, stage.present(TASK, once(1))).await;
    let blocked = until("it is blocked", async || {
        let process = seen(&engine, TASK).await?;
        process.blocked.into_iter().find(|blocked| blocked.code == BlockedCode::Capacity)
    })
    .await;
    assert_eq!(blocked.demand, 1, "{blocked:?}");
    sleep(10 * MINUTE).await;
    assert_eq!(tasks(&stage.account), []);
    stage.account.set_demand_capacity(None);
    assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed));
    assert_eq!(tasks(&stage.account).len(), 1);
    assert_eq!(seen(&engine, TASK).await.map(|process| process.blocked), Some(Vec::new()));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_refuses_a_start_is_told_and_the_task_runs_once_it_passes() {
    for fault in [ApiFault::Throttled, ApiFault::Denied, ApiFault::Quota, ApiFault::Invalid, ApiFault::NotFound] {
        let stage = lasting(MINUTE);
        stage.account.faults().add(Fault::next(9).of(Operation::RunTask).with(Verdict::Refuse(fault)));
        let engine = stage.engine(stage.metered()).await;
        engine.adopt(Vec::new()).await.expect("adopts nothing");
        apply(&engine, stage.present(TASK, once(1))).await;
        assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed), "{fault:?}");
        assert_eq!(tasks(&stage.account).len(), 1, "{fault:?}");
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn asked_to_stop_before_it_was_started_it_never_runs() {
    let stage = lasting(MINUTE);
    let unreachable = "the registry does not answer".to_owned();
    stage.images.faults.lock().expect("not poisoned").insert("app:v1".to_owned(), unreachable);
    let engine = stage.started().await;
    apply(&engine, stage.present(TASK, once(1))).await;
    sleep(MINUTE).await;
    let target = stage.present(TASK, once(0));
    apply(&engine, target.clone()).await;
    stage.images.faults.lock().expect("not poisoned").clear();
    until("it is as it is to be", async || {
        seen(&engine, TASK).await.filter(|process| process.revision == target.revision)
    })
    .await;
    sleep(10 * MINUTE).await;
    assert_eq!((tasks(&stage.account), calls(&stage.account, Operation::RunTask)), (Vec::new(), 0));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_told_to_stop_once_and_that_it_was_asked_to() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present(TASK, once(1))).await;
    in_state(&engine, InstanceState::Healthy).await;
    apply(&engine, stage.present(TASK, once(0))).await;
    let stopped = ended(&engine).await;
    assert_eq!(code(&stopped), Some(ReasonCode::Surplus), "{stopped:?}");
    sleep(5 * MINUTE).await;
    assert_eq!(calls(&stage.account, Operation::StopTask), 1);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn asked_to_stop_while_nobody_knows_whether_it_was_started_it_is_found_and_stopped() {
    for wanted in [true, false] {
        let stage = Stage::open();
        let engine = stage.started().await;
        stage.account.faults().add(Fault::every(1).of(Operation::RunTask).with(Verdict::LoseAnswer));
        stage.account.faults().add(Fault::next(9).of(Operation::ListTasks).with(Verdict::Refuse(ApiFault::Throttled)));
        apply(&engine, stage.present(TASK, once(1))).await;
        until("it was started", async || tasks(&stage.account).pop()).await;
        let target = if wanted { stage.present(TASK, once(0)) } else { stage.absent(TASK) };
        apply(&engine, target).await;
        until("it has stopped", async || (stage.account.inventory().tasks == 0).then_some(())).await;
        if !wanted {
            gone(&engine, TASK).await;
        }
        engine.teardown().await.expect("tears down");
        assert_eq!(stage.account.left_over(), Vec::<String>::new());
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_aws_shows_everything_late_it_runs_once_all_the_same() {
    for late in [10, 40] {
        let stage = Stage::open();
        stage.account.behave(|definition| match definition.family.contains(TASK) {
            true => Behaviour::serves().ends_after(3 * MINUTE, End::Exit(0)),
            false => Behaviour::serves(),
        });
        let engine = stage.started().await;
        apply(&engine, stage.present("api", formation(1, 1, 0))).await;
        settled(&engine, "api", &formation(1, 1, 0)).await;
        stage.account.set_lag(Duration::from_secs(late));
        // The app is shown, and no look finds its task before it is asked for again.
        stage.account.faults().add(Fault::next(3).of(Operation::RunTask).with(Verdict::LoseAnswer));
        apply(&engine, stage.present(TASK, once(1))).await;
        assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed), "{late} s late");
        sleep(5 * MINUTE).await;
        assert_eq!(tasks(&stage.account).len(), 1, "{late} s late");
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_made_anew_on_the_same_day_runs_a_task_of_its_own() {
    let stage = lasting(MINUTE);
    let engine = stage.started().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        apply(&engine, stage.present(TASK, once(1))).await;
        runs.push(ended(&engine).await.id);
        apply(&engine, stage.absent(TASK)).await;
        gone(&engine, TASK).await;
        until("the app is gone", async || (stage.account.inventory().clusters == 0).then_some(())).await;
    }
    assert_ne!(runs[0], runs[1]);
    engine.close().await;
}
