//! Processes that run once, and servers that come late or have lost their files.

use std::sync::Arc;
use std::time::Duration;

use tapit_ecs::api::{Operation, SharedApi};
use tapit_ecs::sim::{Behaviour, Link, Verdict};
use tapit_engine::Engine;
use tapit_model::{InstanceState, ReasonCode};
use tokio::time::sleep;

use crate::runs::{TASK, calls, code, ended, in_state, lasting, once, tasks};
use crate::stage::{Stage, apply, formation, gone, settled, until};

const MINUTE: Duration = Duration::from_secs(60);
/// ECS has forgotten by then what stopped before.
const LATER: Duration = Duration::from_secs(3 * 3600);

fn lose_files(stage: &Stage) {
    std::fs::remove_dir_all(stage.data_dir().join("ecs")).expect("the files are lost");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ecs_has_forgotten_is_lost_and_does_not_run_again() {
    for files in ["kept", "lost"] {
        let stage = lasting(5 * MINUTE);
        let engine = stage.started().await;
        let target = stage.present(TASK, once(1));
        apply(&engine, target.clone()).await;
        in_state(&engine, InstanceState::Healthy).await;
        engine.close().await;
        sleep(LATER).await;
        assert_eq!(tasks(&stage.account), []);
        if files == "lost" {
            lose_files(&stage);
        }
        let engine = stage.engine(stage.account.clone()).await;
        engine.adopt(vec![target]).await.expect("adopts");
        assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Lost), "files {files}");
        sleep(LATER).await;
        assert_eq!((tasks(&stage.account), calls(&stage.account, Operation::RunTask)), (Vec::new(), 1));
        apply(&engine, stage.absent(TASK)).await;
        gone(&engine, TASK).await;
        engine.teardown().await.expect("tears down");
        assert_eq!(stage.account.left_over(), Vec::<String>::new(), "files {files}");
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_an_answer_is_not_repeated_once_aws_may_have_forgotten_it() {
    let stage = lasting(MINUTE);
    // The server dies in the middle of the call that starts it, and comes back when nothing of it can be seen any more.
    let (link, target) = (Link::to(&stage.account), stage.present(TASK, once(1)));
    let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
    engine.adopt(Vec::new()).await.expect("adopts");
    let dying = Arc::clone(&link);
    stage.account.faults().on_call(move |call| {
        let starts = call.request.operation() == Operation::RunTask;
        starts.then(|| {
            dying.cut_now();
            Verdict::LoseAnswer
        })
    });
    apply(&engine, target.clone()).await;
    link.until_cut().await;
    engine.close().await;
    assert_eq!(tasks(&stage.account).len(), 1);
    stage.account.faults().clear();
    sleep(LATER).await;
    let before = calls(&stage.account, Operation::RunTask);
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![target]).await.expect("adopts");
    let lost = ended(&engine).await;
    assert_eq!(code(&lost), Some(ReasonCode::Lost));
    assert!(lost.reason.is_some_and(|reason| reason.text.contains("it is not run again")));
    sleep(MINUTE).await;
    assert_eq!((tasks(&stage.account), calls(&stage.account, Operation::RunTask)), (Vec::new(), before));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_files_goes_on_with_a_task_that_it_is_told_of() {
    let stage = lasting(20 * MINUTE);
    let engine = stage.started().await;
    let target = stage.present(TASK, once(1));
    apply(&engine, target.clone()).await;
    let before = in_state(&engine, InstanceState::Healthy).await;
    engine.close().await;
    lose_files(&stage);
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![target]).await.expect("adopts");
    let after = in_state(&engine, InstanceState::Healthy).await;
    assert_eq!((&after.id, after.generation), (&before.id, 1));
    assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed));
    assert_eq!(tasks(&stage.account).len(), 1);
    until("its definition is gone", async || (stage.account.inventory().task_definitions == 0).then_some(())).await;
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_files_runs_a_task_that_no_server_has_come_to() {
    let stage = lasting(MINUTE);
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(vec![stage.present(TASK, once(1))]).await.expect("adopts");
    assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed));
    assert_eq!(tasks(&stage.account).len(), 1);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_task_that_nobody_knows_is_stopped() {
    for sibling in [true, false] {
        let stage = Stage::open();
        stage.account.behave(|_| Behaviour::serves());
        let engine = stage.started().await;
        let api = formation(1, 1, 0);
        apply(&engine, stage.present(TASK, once(1))).await;
        let target = stage.present("api", api.clone());
        if sibling {
            apply(&engine, target.clone()).await;
            settled(&engine, "api", &api).await;
        }
        in_state(&engine, InstanceState::Healthy).await;
        engine.close().await;
        lose_files(&stage);
        let engine = stage.engine(stage.account.clone()).await;
        engine.adopt(if sibling { vec![target] } else { Vec::new() }).await.expect("adopts");
        until("it has stopped", async || {
            let left = stage.account.inventory();
            (left.tasks == usize::from(sibling) && left.task_definitions == usize::from(sibling)).then_some(())
        })
        .await;
        engine.teardown().await.expect("tears down");
        assert_eq!(stage.account.left_over(), Vec::<String>::new());
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_teardown_without_files_stops_tasks_too() {
    let stage = Stage::open();
    let engine = stage.started().await;
    apply(&engine, stage.present(TASK, once(1))).await;
    in_state(&engine, InstanceState::Healthy).await;
    engine.close().await;
    lose_files(&stage);
    let engine = stage.engine(stage.account.clone()).await;
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), Vec::<String>::new());
    engine.close().await;
}
