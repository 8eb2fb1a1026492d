//! Reads that lag, and time.

use std::time::Duration;

use tapit_ecs::api::*;
use tapit_ecs::sim::{Account, Setup, Time};

use super::stage::{CLUSTER, Stage};

#[test]
fn what_was_written_is_read_after_a_while() {
    let stage = Stage::open();
    let arn = stage.register("web:1");
    stage.account.set_lag(Duration::from_secs(5));
    stage.create(NewService { desired: 2, ..stage.new_service("web", &arn) });
    assert!(stage.find("web").is_none());
    let again = NewService { desired: 3, ..stage.new_service("web", &arn) };
    assert_eq!(stage.fault(Request::CreateService(Box::new(again))), ApiFault::AlreadyExists, "writes do not lag");
    stage.seconds(4);
    assert!(stage.find("web").is_none());
    stage.seconds(1);
    assert_eq!(stage.service("web").desired, 2);
    stage.scale("web", 4);
    assert_eq!(stage.service("web").desired, 2);
    stage.seconds(5);
    assert_eq!(stage.service("web").desired, 4);
}

#[test]
fn what_is_read_late_is_what_has_been() {
    let stage = Stage::open();
    stage.account.set_lag(Duration::from_secs(7));
    stage.create(NewService { desired: 2, ..stage.new_service("web", &stage.register("web:1")) });
    stage.seconds(60);
    stage.account.kill(&stage.alive()[0].arn);
    stage.scale("web", 3);
    let mut been = Vec::new();
    for second in 0..40 {
        let mut tasks = stage.account.tasks();
        tasks.sort_by(|one, other| one.arn.cmp(&other.arn));
        been.push(tasks);
        if second >= 7 {
            let tasks = been[second - 7].iter().map(|task| task.arn.clone()).collect();
            let read = stage.ask(Request::DescribeTasks { cluster: CLUSTER.to_owned(), tasks });
            assert_eq!(read, Ok(Answer::Tasks(been[second - 7].clone())), "{second}");
        }
        stage.seconds(1);
    }
}

#[test]
fn without_lag_reads_are_right_at_once() {
    let stage = Stage::open();
    stage.account.set_lag(Duration::from_secs(60));
    stage.create(stage.new_service("web", &stage.register("web:1")));
    stage.account.set_lag(Duration::ZERO);
    assert!(stage.find("web").is_some());
}

#[test]
fn it_does_not_matter_in_which_steps_time_passes() {
    let run = |step: u64| {
        let stage = Stage::open();
        stage.create(NewService { desired: 3, ..stage.public_service("web", &stage.register("web:1")) });
        for _ in 0..120 / step {
            stage.seconds(step);
        }
        (stage.service("web"), stage.account.tasks(), stage.targets())
    };
    assert_eq!(run(1), run(120));
    assert_eq!(run(40).0.running, 3);
}

#[tokio::test(start_paused = true)]
async fn an_account_may_follow_the_time_of_tokio() {
    let account = Account::new(Setup { time: Time::Tokio, ..Setup::default() });
    let before = account.now();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(account.now().0 - before.0, 90_000);
    account.advance(Duration::from_secs(10));
    assert_eq!(account.now().0 - before.0, 100_000);
}
