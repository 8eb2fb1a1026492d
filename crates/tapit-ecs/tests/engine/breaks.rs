//! A server that dies between any two calls, and answers that are lost: the next one goes on, and nothing is doubled.

use std::sync::Arc;

use tapit_ecs::Ecs;
use tapit_ecs::api::SharedApi;
use tapit_ecs::sim::{Inventory, Link, Verdict};
use tapit_engine::Engine;
use tapit_model::{Formation, ProcessTarget};

use crate::stage::{Stage, apply, formation, settled, until};

/// More calls than any of it takes.
const CALLS_AT_MOST: u64 = 400;

const CALLS_AT_LEAST: u64 = 15;

type Cut = fn(&Arc<tapit_ecs::sim::Account>, u64) -> Arc<Link>;

/// Every way for a server to die: before a call, and before its answer.
const CUTS: [(&str, Cut); 2] = [("before", Link::cut_before), ("after", Link::cut_after)];

fn both(generation: u64) -> [(&'static str, Formation); 2] {
    [("default", formation(generation, 1, 1)), ("api", formation(generation, 1, 0))]
}

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

fn steady(inventory: &Inventory) -> (usize, usize, usize) {
    (inventory.services, inventory.task_definitions, inventory.tasks)
}

/// A second server takes over, gets everything as wanted, and removes it again.
async fn recover(stage: &Stage, targets: Vec<ProcessTarget>, wanted: &[(&str, Formation)], hint: &str) {
    let engine = stage.engine(stage.account.clone()).await;
    engine.adopt(targets).await.expect("adopts");
    for (process, formation) in wanted {
        settled(&engine, process, formation).await;
    }
    until(&format!("there is one of each, {hint}"), async || {
        let there = stage.account.inventory();
        let one_of_each = Inventory {
            clusters: 1,
            services: 3,
            task_definitions: 3,
            tasks: 3,
            security_groups: 2,
            load_balancers: 1,
            listeners: 1,
            rules: 1,
            target_groups: 1,
            log_groups: 1,
            roles: 1,
            ..Inventory::default()
        };
        (there == one_of_each).then_some(())
    })
    .await;
    engine.teardown().await.expect("tears down");
    assert_eq!(stage.account.left_over(), Vec::<String>::new(), "{hint}");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_call_of_a_creation_is_followed_by_one_that_finishes_it() {
    for (word, cut) in CUTS {
        for call in 1..=CALLS_AT_MOST {
            let stage = Stage::open();
            let link = cut(&stage.account, call);
            let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
            engine.adopt(Vec::new()).await.expect("adopts");
            let targets = both(1).map(|(process, formation)| stage.present(process, formation));
            let finished = live(&engine, &link, async {
                for target in &targets {
                    apply(&engine, target.clone()).await;
                }
                for (process, formation) in both(1) {
                    settled(&engine, process, &formation).await;
                }
            })
            .await;
            recover(&stage, targets.to_vec(), &both(1), &format!("{word} call {call}")).await;
            if finished {
                assert!(call > CALLS_AT_LEAST, "the server hardly did anything");
                break;
            }
            assert!(call < CALLS_AT_MOST, "a creation never ends");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_call_of_an_update_is_followed_by_one_that_finishes_it() {
    for (word, cut) in CUTS {
        for call in 1..=CALLS_AT_MOST {
            let stage = Stage::open();
            let engine = stage.started().await;
            let old = both(1).map(|(process, formation)| stage.present(process, formation));
            for target in &old {
                apply(&engine, target.clone()).await;
            }
            for (process, formation) in both(1) {
                settled(&engine, process, &formation).await;
            }
            engine.close().await;

            let link = cut(&stage.account, call);
            let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
            engine.adopt(old.to_vec()).await.expect("adopts");
            let new = both(2).map(|(process, formation)| stage.present(process, formation));
            let finished = live(&engine, &link, async {
                for target in &new {
                    apply(&engine, target.clone()).await;
                }
                for (process, formation) in both(2) {
                    settled(&engine, process, &formation).await;
                }
                until("what was replaced is gone", async || {
                    (steady(&stage.account.inventory()) == (3, 3, 3)).then_some(())
                })
                .await;
            })
            .await;
            recover(&stage, new.to_vec(), &both(2), &format!("{word} call {call}")).await;
            if finished {
                assert!(call > CALLS_AT_LEAST, "the server hardly did anything");
                break;
            }
            assert!(call < CALLS_AT_MOST, "an update never ends");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_at_any_call_of_a_removal_is_followed_by_one_that_finishes_it() {
    for (word, cut) in CUTS {
        for call in 1..=CALLS_AT_MOST {
            let stage = Stage::open();
            let engine = stage.started().await;
            for (process, formation) in both(1) {
                apply(&engine, stage.present(process, formation)).await;
            }
            for (process, formation) in both(1) {
                settled(&engine, process, &formation).await;
            }
            engine.close().await;

            let link = cut(&stage.account, call);
            let engine = stage.engine(Arc::clone(&link) as SharedApi).await;
            let finished = live(&engine, &link, async { engine.teardown().await.expect("tears down") }).await;
            let engine = stage.engine(stage.account.clone()).await;
            engine.teardown().await.expect("tears down");
            assert_eq!(stage.account.left_over(), Vec::<String>::new(), "{word} call {call}");
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
async fn whatever_answers_are_lost_nothing_is_doubled() {
    for seed in 1..=12 {
        let stage = Stage::open();
        let mut dice = seed;
        stage.account.faults().on_call(move |_| {
            // Numerical Recipes' generator; its high bits are the good ones.
            dice = u32::wrapping_add(u32::wrapping_mul(dice, 1_664_525), 1_013_904_223);
            (dice >> 30 == 0).then_some(Verdict::LoseAnswer)
        });
        let engine = stage.engine(stage.metered()).await;
        engine.adopt(Vec::new()).await.expect("adopts");
        for generation in [1, 2] {
            for (process, formation) in both(generation) {
                apply(&engine, stage.present(process, formation)).await;
            }
            for (process, formation) in both(generation) {
                settled(&engine, process, &formation).await;
            }
        }
        engine.close().await;
        stage.account.faults().clear();
        let targets = both(2).map(|(process, formation)| stage.present(process, formation));
        recover(&stage, targets.to_vec(), &both(2), &format!("with seed {seed}")).await;
    }
}
