//! Requests: what they change, and what they must not.

use tapit_model::{Code, Request};

use super::stage::{Stage, app, create, create_app, healthy, process, set};
use crate::api::Core;

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let before = (stage.server.hub.ledger.world(), stage.events("shop").await.len());
    for request in [
        set("default", &[("demand_count", "3")]),
        create("api", &[]),
        Request::RestartProcess { app: app("shop"), process: process("default") },
        Request::DeleteApp { app: app("shop") },
        create_app("other", &[]),
    ] {
        let outcome = stage.server.core.submit(request, true).await.expect("admitted");
        assert!(outcome.dry_run && outcome.changed, "{outcome:?}");
        assert!(outcome.message.starts_with("would "), "{}", outcome.message);
        assert_eq!(outcome.inverse, None);
    }
    assert_eq!((stage.server.hub.ledger.world(), stage.events("shop").await.len()), before);
    assert_eq!(stage.engine_holds().await, ["shop/default"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_create_the_same_process_one_is_told_of_the_conflict() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let (first, second) =
        tokio::join!(stage.try_submit(create("api", &[])), stage.try_submit(create("api", &[("demand", "5")])));
    let refused: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].code, Code::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn relative_counts_that_arrive_at_once_all_count() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let add = || stage.submit(set("default", &[("demand_count", "+1")]));
    let outcomes = tokio::join!(add(), add(), add(), add());
    let last = [outcomes.0, outcomes.1, outcomes.2, outcomes.3].into_iter().map(|outcome| outcome.revision).max();
    let progress = stage.settled(&app("shop"), Some(&process("default")), last.expect("four")).await;
    assert!(progress.ok, "{progress:?}");
    assert_eq!(healthy(&stage.show("default").await).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_already_starts_nothing() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    let before = stage.show("default").await;
    let outcome = stage.submit(set("default", &[("demand_count", "2")])).await;
    assert!(!outcome.changed);
    let progress = stage.settled(&app("shop"), Some(&process("default")), outcome.revision).await;
    assert!(progress.settled && progress.ok, "{progress:?}");
    let after = stage.show("default").await;
    assert_eq!((healthy(&after), after.generation), (healthy(&before), before.generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_keeps_those_that_run() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let first = healthy(&stage.show("default").await);
    assert!(stage.settle(set("default", &[("demand_count", "3"), ("spot_count", "1")])).await.ok);
    let four = healthy(&stage.show("default").await);
    assert!(four.len() == 4 && four.contains(&first[0]), "{first:?} then {four:?}");
    assert!(stage.settle(set("default", &[("demand_count", "1"), ("spot_count", "0")])).await.ok);
    assert_eq!(healthy(&stage.show("default").await), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_process_runs_nothing_until_it_is_enabled() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "2")])).await;
    assert!(stage.settle(set("default", &[("disabled", "true")])).await.ok);
    let view = stage.show("default").await;
    assert_eq!((view.status.as_str(), healthy(&view).len(), view.demand_count), ("disabled", 0, 2));
    let restart = Request::RestartProcess { app: app("shop"), process: process("default") };
    assert_eq!(stage.try_submit(restart).await.expect_err("refused").code, Code::Conflict);
    assert!(stage.settle(set("default", &[("disabled", "false")])).await.ok);
    assert_eq!(healthy(&stage.show("default").await).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_takes_a_spot_instance_which_comes_back() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "1"), ("spot", "2")])).await;
    let before = stage.show("default").await;
    let refused = stage.server.core.interrupt(&app("shop"), &process("default"), 0, false).await;
    assert_eq!(refused.expect_err("of none").code, Code::Usage);
    let dry = stage.server.core.interrupt(&app("shop"), &process("default"), 1, true).await.expect("admitted");
    assert!(dry.message.starts_with("would "), "{}", dry.message);
    let outcome = stage.server.core.interrupt(&app("shop"), &process("default"), 1, false).await.expect("admitted");
    let newest = before.instances.iter().rfind(|one| one.kind == "spot").expect("two").id.clone();
    assert!(outcome.message.contains(&newest), "{} for {newest}", outcome.message);
    stage
        .until("three run again", async |stage| {
            let now = healthy(&stage.show("default").await);
            now.len() == 3 && !now.contains(&newest)
        })
        .await;
}
