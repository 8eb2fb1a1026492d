//! An account as large as the engine is to bear.

use std::collections::BTreeSet;

use tapit_ecs::api::*;

use super::stage::Stage;

#[test]
fn two_hundred_apps_with_ten_processes_each_run_and_are_looked_at() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    for app in 0..200 {
        let cluster = format!("app{app}");
        stage.ask(Request::CreateCluster { name: cluster.clone(), tags: Tags::new() }).expect("is made");
        for process in 0..10 {
            let new = stage.new_service(&format!("p{process}"), &arn);
            stage.create(NewService { cluster: cluster.clone(), desired: 2, ..new });
        }
    }
    stage.until("all tasks run", || {
        stage.account.tasks().iter().filter(|task| task.status == TaskStatus::Running).count() == 4000
    });
    let mut addresses = BTreeSet::new();
    for app in 0..200 {
        let cluster = format!("app{app}");
        let services = (0..10).map(|process| format!("p{process}")).collect();
        let look = stage.ask(Request::DescribeServices { cluster: cluster.clone(), services });
        let Ok(Answer::Services(services)) = look else { panic!("{look:?}") };
        assert!(services.len() == 10 && services.iter().all(|service| service.running == 2));
        let list = Request::ListTasks { cluster: cluster.clone(), desired: DesiredStatus::Running, next: None };
        let Ok(Answer::Names { names: tasks, next: None }) = stage.ask(list) else { panic!("no list") };
        let Ok(Answer::Tasks(tasks)) = stage.ask(Request::DescribeTasks { cluster, tasks }) else { panic!("none") };
        addresses.extend(tasks.into_iter().filter_map(|task| task.ip));
    }
    assert_eq!(addresses.len(), 4000, "no address is given twice");
}
