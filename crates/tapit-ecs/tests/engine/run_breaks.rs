//! A server that dies between any two calls of a task's life, and answers that are lost: it has run once, and nothing is left.

use std::sync::Arc;
use std::time::Duration;

use tapit_ecs::Ecs;
use tapit_ecs::api::{ApiFault, Operation, SharedApi};
use tapit_ecs::sim::{Account, Behaviour, End, Link, Outcome, Verdict};
use tapit_engine::Engine;
use tapit_model::{InstanceState, ReasonCode};
use tokio::time::sleep;

use crate::runs::{TASK, code, ended, in_state, lasting, once, tasks};
use crate::stage::{Stage, apply, formation, gone, seen, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Runs until the server dies; `true`: it had nothing left to do before.
async fn live(engine: &Ecs, link: &Link, done: impl Future<Output = ()>) -> bool {
    let finished = tokio::select! {
        () = done => true,
        () = link.until_cut() => false,
    };
    link.cut_now();
    engine.close().await;
    finished
}

type Cut = fn(&Arc<Account>, u64) -> Arc<Link>;

/// Every way for a server to die: before a call, and before its answer.
const CUTS: [(&str, Cut); 2] = [("before", Link::cut_before), ("after", Link::cut_after)];
const CALLS_AT_MOST: u64 = 200;
const CALLS_AT_LEAST: u64 = 15;

/// Tasks end by themselves, processes do not.
fn short_tasks() -> Stage {
    let stage = Stage::open();
    stage.account.behave(|definition| match definition.family.contains(TASK) {
        true => Behaviour::serves().ends_after(MINUTE / 2, End::Exit(0)),
        false => Behaviour::serves(),
    });
    stage
}

/// It dies at this call; another one follows, and removes what has run. `true`: it had nothing left to do before.
async fn one_follows(cut: Cut, call: u64, late: Duration) -> bool {
    let (stage, hint) = (short_tasks(), format!("call {call}, shown {late:?} late"));
    let mut targets = Vec::new();
    if !late.is_zero() {
        // The app is shown already; nothing of its task will be.
        let engine = stage.started().await;
        targets.push(stage.present("api", formation(1, 1, 0)));
        apply(&engine, targets[0].clone()).await;
        until("its sibling is healthy", async || seen(&engine, "api").await?.instances.first()?.healthy_at).await;
        engine.close().await;
        stage.account.set_lag(late);
    }
    let link = cut(&stage.account, call);
    let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
    engine.adopt(targets.clone()).await.expect("adopts");
    let target = stage.present(TASK, once(1));
    let finished = live(&engine, &link, async {
        apply(&engine, target.clone()).await;
        ended(&engine).await;
        sleep(2 * MINUTE).await;
    })
    .await;
    let engine = stage.engine(stage.account.clone()).await;
    targets.push(target);
    engine.adopt(targets).await.expect("adopts");
    assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed), "{hint}");
    sleep(5 * MINUTE).await;
    assert_eq!(tasks(&stage.account).len(), 1, "{hint}");
    stage.account.set_lag(Duration::ZERO);
    apply(&engine, stage.absent(TASK)).await;
    gone(&engine, TASK).await;
    engine.teardown().await.expect("tears down");
    // A registration whose answer was lost and that shows late is made again, which leaves a definition: no task comes of it.
    let left = stage.account.left_over();
    let wrong = left.iter().filter(|one| late.is_zero() || !one.starts_with("task-definition "));
    assert_eq!(wrong.count(), 0, "{hint}: {left:?}");
    engine.close().await;
    finished
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_call_of_a_task_is_followed_by_one_under_which_it_has_run_once() {
    // Once so late that the next server sees nothing of what the one before has done.
    for late in [Duration::ZERO, MINUTE / 2] {
        for (word, cut) in CUTS {
            for call in 1..=CALLS_AT_MOST {
                println!("it dies {word} call {call}");
                if one_follows(cut, call, late).await {
                    assert!(call > CALLS_AT_LEAST, "the server hardly did anything");
                    break;
                }
                assert!(call < CALLS_AT_MOST, "a task never ends");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_call_of_a_tasks_stop_and_removal_is_followed_by_one_that_finishes_it() {
    for (word, cut) in CUTS {
        for call in 1..=CALLS_AT_MOST {
            let (stage, hint) = (Stage::open(), format!("{word} call {call}"));
            let engine = stage.started().await;
            let target = stage.present(TASK, once(1));
            apply(&engine, target.clone()).await;
            in_state(&engine, InstanceState::Healthy).await;
            engine.close().await;

            let link = cut(&stage.account, call);
            let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
            engine.adopt(vec![target]).await.expect("adopts");
            let finished = live(&engine, &link, async {
                apply(&engine, stage.present(TASK, once(0))).await;
                ended(&engine).await;
                apply(&engine, stage.absent(TASK)).await;
                gone(&engine, TASK).await;
                until("the app is gone", async || (stage.account.inventory().clusters == 0).then_some(())).await;
            })
            .await;
            let engine = stage.engine(stage.account.clone()).await;
            engine.adopt(vec![stage.absent(TASK)]).await.expect("adopts");
            gone(&engine, TASK).await;
            engine.teardown().await.expect("tears down");
            assert_eq!(stage.account.left_over(), Vec::<String>::new(), "{hint}");
            let started = stage.account.changes().into_iter().filter(|(call, outcome)| {
                call.request.operation() == Operation::RunTask && *outcome == Outcome::CarriedOut
            });
            assert_eq!(started.count(), 1, "{hint}");
            engine.close().await;
            if finished {
                assert!(call > CALLS_AT_LEAST, "the server hardly did anything");
                break;
            }
            assert!(call < CALLS_AT_MOST, "a removal never ends");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_answers_are_lost_a_task_has_run_once() {
    for seed in 1..=24 {
        let stage = lasting(MINUTE / 2);
        let mut dice = seed;
        stage.account.faults().on_call(move |_| {
            // Numerical Recipes' generator; its high bits are the good ones.
            dice = u32::wrapping_add(u32::wrapping_mul(dice, 1_664_525), 1_013_904_223);
            match dice >> 29 {
                0 | 1 => Some(Verdict::LoseAnswer),
                2 => Some(Verdict::Refuse(ApiFault::Throttled)),
                _ => None,
            }
        });
        let engine = stage.engine(stage.metered()).await;
        engine.adopt(Vec::new()).await.expect("adopts");
        apply(&engine, stage.present(TASK, once(1))).await;
        assert_eq!(code(&ended(&engine).await), Some(ReasonCode::Completed), "seed {seed}");
        sleep(5 * MINUTE).await;
        assert_eq!(tasks(&stage.account).len(), 1, "seed {seed}");
        stage.account.faults().clear();
        engine.teardown().await.expect("tears down");
        assert_eq!(stage.account.left_over(), Vec::<String>::new(), "seed {seed}");
        engine.close().await;
    }
}
