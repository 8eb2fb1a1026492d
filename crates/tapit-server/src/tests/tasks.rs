//! One-off tasks: what is asked, seen and remembered of them.

use std::time::Duration;

use futures_util::StreamExt;
use tapit_engine::fake::{Ending, Script};
use tapit_model::{ImageKey, InstanceId, InstanceKey, Request, TaskId, TaskView};
use tokio::task::JoinHandle;

use super::stage::{Stage, app, create_app, create_task, image, set_image};
use crate::api::{Core, LogQuery, LogTime};

async fn task(stage: &Stage, id: u64) -> TaskView {
    stage.server.core.task(&app("shop"), TaskId(id)).await.expect("it is remembered")
}

/// An app whose image ends like this.
async fn stage(script: Script) -> Stage {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "0")])).await;
    stage.fake.put_image(&image("job:1"), script);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_ends_as_its_command_does_and_is_listed() {
    let stage = stage(Script::ends(Ending::Exit(3)).logs(&["reading", "no database"])).await;
    let outcome = stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    let made = outcome.task.expect("the answer shows it");
    assert_eq!((made.id, made.state.as_str(), made.process.as_str()), (1, "pending", "task-1"));
    stage.until("it has ended", async |stage| task(stage, 1).await.ended_at.is_some()).await;
    let shown = task(&stage, 1).await;
    assert_eq!((shown.state.as_str(), shown.exit_status), ("failed", Some(3)));
    assert_eq!(shown.reason.as_deref(), Some("its command ended with exit 3"));
    let kinds: Vec<_> = shown.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"task_created"), Some(&"task_ended")), "{kinds:?}");
    let listed = stage.server.core.tasks(&app("shop")).await.expect("lists");
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), [1]);
    let status = stage.server.core.status().await;
    assert_eq!(status.processes, 1, "a task is no process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_stopped_by_its_number() {
    let stage = stage(Script::healthy()).await;
    stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    stage.until("it runs", async |stage| task(stage, 1).await.state == "running").await;
    let outcome = stage.submit(Request::StopTask { app: app("shop"), task: TaskId(1) }).await;
    assert!(outcome.changed && outcome.task.is_some_and(|task| task.state == "stopping"));
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_under_a_new_server_and_its_end_is_remembered() {
    let mut stage = stage(Script::healthy()).await;
    stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    stage.until("it runs", async |stage| task(stage, 1).await.state == "running").await;
    stage.restart().await;
    stage.until("it is seen again", async |stage| task(stage, 1).await.state == "running").await;
    stage.submit(Request::StopTask { app: app("shop"), task: TaskId(1) }).await;
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "stopped").await;
    let before = task(&stage, 1).await;
    stage.restart().await;
    assert_eq!(task(&stage, 1).await.ended_at, before.ended_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_a_task_that_has_ended_may_go() {
    let stage = stage(Script::ends(Ending::Exit(0))).await;
    stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    let used = async |stage: &Stage| {
        let key = ImageKey::parse("job:1").expect("a legal name");
        stage.server.core.image(&key).await.expect("is held").used_by
    };
    assert_eq!(used(&stage).await, ["shop/task-1"]);
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "succeeded").await;
    assert_eq!(used(&stage).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_app_that_cannot_be_had_fails_a_task() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[("demand", "0")])).await;
    stage.submit(set_image("gone:1")).await;
    stage.submit(create_task(&[("command", "report")])).await;
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "failed").await;
    let shown = task(&stage, 1).await;
    assert_eq!((shown.exit_status, shown.started_at), (Some(1), None));
    assert!(shown.reason.is_some_and(|reason| reason.contains("gone:1 could not be had")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_line_that_comes_late_is_heard_by_whoever_follows() {
    let stage = stage(Script::ends(Ending::Exit(0)).logs(&["one"])).await;
    stage.fake.lag_logs(Duration::from_secs(2));
    stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    let reading = follow(&stage).await;
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "succeeded").await;
    let id = task(&stage, 1).await.instance.expect("it had an instance");
    let instance = InstanceKey { app: app("shop"), id: InstanceId::opaque(&id) };
    assert!(stage.fake.write(&instance, "late"));
    assert_eq!(reading.await.expect("the stream ends"), ["one", "late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_followed_ends_with_its_task() {
    let stage = stage(Script::ends(Ending::Exit(0)).logs(&["one", "two"])).await;
    stage.submit(create_task(&[("image", "job:1"), ("command", "report")])).await;
    let reading = follow(&stage).await;
    stage.until("it has ended", async |stage| task(stage, 1).await.state == "succeeded").await;
    assert_eq!(reading.await.expect("the stream ends"), ["one", "two"]);
}

/// Reads the log of the first task until nothing more comes.
async fn follow(stage: &Stage) -> JoinHandle<Vec<String>> {
    let process = Some(TaskId(1).process());
    let time = LogTime::Onwards { resume: None };
    let query = LogQuery { app: app("shop"), process, instance: None, lines: 100, since: None, time };
    let pages = stage.server.core.logs(query).await.expect("the log of a task can be followed");
    tokio::spawn(async move {
        let lines = pages.map(|page| page.expect("a page").lines).concat().await;
        lines.into_iter().map(|line| line.text).collect()
    })
}
