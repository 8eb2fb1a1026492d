//! A task that is started alone.

use super::*;
use crate::support::strict::faults::{Fault, On};

#[tokio::test]
async fn a_task_alone_runs_once_whatever_becomes_of_the_answer_and_is_stopped() {
    let Some(account) = Account::open() else { return };
    let aws = aws(&account);
    let image = account.push("web", "v1", &Image { layer: images::layer(), config: images::web("1") });
    let network = network(&aws).await;
    let cluster = "tapit-shop".to_owned();
    call(&aws, Request::CreateCluster { name: cluster.clone(), tags: tags() }).await;
    call(&aws, Request::CreateLogGroup { name: "/tapit/shop".to_owned(), tags: tags() }).await;
    let made = call(&aws, Request::RegisterTaskDefinition(Box::new(definition(&image)))).await;
    let made = made.task_definition(Operation::RegisterTaskDefinition).expect("a task definition");
    let new = NewTask {
        cluster: cluster.clone(),
        task_definition: made.arn.clone(),
        group: "task_task-1".to_owned(),
        provider: Provider::Fargate,
        network: tapit_ecs::api::Network {
            subnets: network.subnets.clone(),
            security_groups: vec![network.group.clone()],
            assign_public_ip: true,
        },
        client_token: "0123456789abcdef".to_owned(),
        tags: tags(),
    };
    let run = |new: &NewTask| Request::RunTask(Box::new(new.clone()));
    account.strict().plan(On::Next("ecs:RunTask", 1), Fault::LoseAnswer);
    assert_eq!(fault(&aws, run(&new)).await, ApiFault::Unavailable);
    let again = call(&aws, run(&new)).await.tasks(Operation::RunTask).expect("tasks").remove(0);
    let other = NewTask { group: "task_task-2".to_owned(), ..new };
    assert_eq!(fault(&aws, run(&other)).await, ApiFault::AlreadyExists);

    let task = until("it runs", async || {
        tasks(&aws, DesiredStatus::Running).await.pop().filter(|task| task.status == TaskStatus::Running)
    });
    let task = task.await;
    assert_eq!((&task.arn, task.provider), (&again.arn, Some(Provider::Fargate)));
    assert_eq!((task.group.as_str(), task.started_by.as_deref()), ("task_task-1", Some("0123456789abcdef")));
    assert_eq!(account.containers().len(), 1, "one container for three calls");

    let stop = || Request::StopTask { cluster: cluster.clone(), task: task.arn.clone(), reason: "enough".to_owned() };
    assert_eq!(call(&aws, stop()).await, Answer::Done);
    assert_eq!(call(&aws, stop()).await, Answer::Done, "one that has stopped is taken for stopped");
    let stopped = until("it has stopped", async || tasks(&aws, DesiredStatus::Stopped).await.pop()).await;
    assert_eq!((stopped.status, stopped.stop_code.as_deref()), (TaskStatus::Stopped, Some("UserInitiated")));
    assert_eq!(stopped.stopped_reason.as_deref(), Some("enough"));
    call(&aws, Request::DeregisterTaskDefinition { arn: made.arn }).await;
    assert_eq!(call(&aws, Request::DeleteCluster { name: cluster }).await, Answer::Done);
}
