//! Processes that run once.

use super::*;
use crate::api::{DesiredStatus, NewTask, Provider, Task, TaskStatus};
use crate::plan::note_runs;
use crate::record::{Asked, Run};

const MINUTE: u64 = 60_000;

fn once(demand: u32) -> (ProcessName, Wanted) {
    let (name, mut wanted) = present("task-1", 1, demand, 0);
    if let Presence::Present(formation) = &mut wanted.presence {
        formation.restart = Restart::Never;
    }
    (name, wanted)
}

fn task(arn: &str, token: &str) -> Task {
    Task {
        arn: arn.to_owned(),
        task_definition: super::arn(DEMAND, 1),
        group: "task_task-1".to_owned(),
        started_by: Some(token.to_owned()),
        status: TaskStatus::Running,
        desired: DesiredStatus::Running,
        provider: Some(Provider::Fargate),
        cpu: 256,
        memory_mib: 512,
        ip: None,
        created_at: Timestamp(0),
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        stopping_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        exit_code: None,
        container_reason: None,
        image_digest: None,
    }
}

/// So long ago, on both clocks.
fn asked(millis: u64) -> Run {
    let network = crate::api::Network { subnets: Vec::new(), security_groups: Vec::new(), assign_public_ip: true };
    let task = NewTask {
        cluster: "cluster".to_owned(),
        task_definition: arn(DEMAND, 1),
        group: "task_task-1".to_owned(),
        provider: Provider::Fargate,
        network,
        client_token: "token".to_owned(),
        tags: Default::default(),
    };
    let at = Timestamp(TODAY.0 - i64::try_from(millis).expect("fits"));
    Run::Asked(Box::new(Asked { task, at, moment: Moment(NOW.0.saturating_sub(millis)) }))
}

fn started() -> Run {
    Run::Task { arn: "a".to_owned(), stop: Made::No }
}

/// A definition, and this run; the load balancer's part does not matter here.
fn with(run: Option<Run>) -> AppRecord {
    let record = AppRecord { target: TargetRecord::default(), ..built() };
    let mut record = with_definitions(record, "task-1", &[(DEMAND, 1)]);
    record.processes.entry(name("task-1")).or_default().run = run;
    record
}

fn seeing(wanted: (ProcessName, Wanted), run: Option<Run>, tasks: Vec<Task>) -> Case {
    let mut case = Case::new([wanted], with(run), vec![]);
    case.look = Look { at: TODAY, moment: NOW, tasks, ..Look::default() };
    case
}

/// What it was told by a look at these tasks.
fn noted(run: Run, tasks: Vec<Task>) -> Option<Run> {
    let mut record = with(Some(run));
    note_runs(&mut record, &Look { at: TODAY, moment: NOW, tasks, ..Look::default() });
    record.processes[&name("task-1")].run.clone()
}

fn stopped_memory(case: &mut Case) {
    let mut stopped = task("a", "token");
    (stopped.status, stopped.desired) = (TaskStatus::Stopped, DesiredStatus::Stopped);
    let look = Look { tasks: vec![stopped], ..case.look.clone() };
    let (key, wanted) = (tapit_model::ProcessKey::new(&app(), &name("task-1")), formation("task-1", 1, 1, 0));
    let process = case.record.processes.get_mut(&name("task-1")).expect("recorded");
    let subject = crate::sight::Subject {
        key: &key,
        formation: Some(&wanted),
        definitions: &process.definitions,
        given_up: &[],
        run: process.run.as_ref(),
    };
    process.memory = process.memory.after(&subject, &look);
}

#[test]
fn a_definition_is_made_and_then_a_task_and_no_service() {
    let nothing = Case::new([once(1)], AppRecord::default(), vec![]);
    nothing.check("register 1 1, cluster, log group, security group, busy");
    seeing(once(1), None, vec![]).check("run task_task-1 demand:1, busy");
    let early = AppRecord { log_group: Made::No, ..with(None) };
    Case::new([once(1)], early, vec![]).check("log group, busy");
}

#[test]
fn what_has_run_is_left_alone_and_its_definition_goes_with_its_end() {
    seeing(once(1), Some(started()), vec![task("a", "token")]).check("task-1 acted 1");
    let mut ended = seeing(once(1), Some(started()), vec![]);
    stopped_memory(&mut ended);
    ended.check("deregister demand:1, task-1 acted 1, busy");
    ended.record.processes.entry(name("task-1")).or_default().definitions.clear();
    ended.check("task-1 acted 1");
}

#[test]
fn a_start_without_an_answer_is_repeated_as_long_as_aws_knows_it() {
    seeing(once(1), Some(asked(MINUTE)), vec![]).check("run task_task-1 demand:1 again, busy");
    seeing(once(1), Some(asked(44 * MINUTE)), vec![]).check("run task_task-1 demand:1 again, busy");
    seeing(once(1), Some(asked(46 * MINUTE)), vec![]).check("busy");
    // This host was started anew since then, so that only the clock tells.
    let Run::Asked(mut before) = asked(MINUTE) else { panic!("asked") };
    before.moment = Moment(NOW.0 + 1);
    seeing(once(1), Some(Run::Asked(before.clone())), vec![]).check("run task_task-1 demand:1 again, busy");
    before.at = Timestamp(TODAY.0 - 24 * 3_600_000);
    seeing(once(1), Some(Run::Asked(before)), vec![]).check("busy");
    // The clock was set back since then, so that nobody knows how long ago it was.
    let Run::Asked(mut later) = asked(0) else { panic!("asked") };
    later.at = Timestamp(TODAY.0 + 1);
    seeing(once(1), Some(Run::Asked(later)), vec![]).check("busy");
}

#[test]
fn a_look_tells_what_came_of_a_start_and_when_nobody_can_tell() {
    assert_eq!(noted(asked(MINUTE), vec![]), Some(asked(MINUTE)));
    assert_eq!(noted(asked(MINUTE), vec![task("a", "another")]), Some(asked(MINUTE)));
    assert_eq!(noted(asked(46 * MINUTE), vec![task("a", "token")]), Some(started()));
    assert_eq!(noted(asked(46 * MINUTE), vec![]), Some(Run::Unknown { id: "token".to_owned() }));
    assert_eq!(noted(Run::Sought, vec![task("a", "whatever")]), Some(started()));
    assert!(matches!(noted(Run::Sought, vec![]), Some(Run::Unknown { .. })));
    let mut nowhere = AppRecord { cluster: Made::No, ..with(Some(Run::Sought)) };
    note_runs(&mut nowhere, &Look::default());
    assert_eq!(nowhere, AppRecord { cluster: Made::No, ..with(Some(Run::Sought)) }, "there was nothing to look at");
}

#[test]
fn not_wanted_it_is_stopped_once_or_never_started() {
    seeing(once(0), None, vec![]).check("deregister demand:1, task-1 acted 1, busy");
    seeing(once(0), Some(started()), vec![task("a", "token")]).check("stop a, busy");
    let told = Run::Task { arn: "a".to_owned(), stop: Made::Yes };
    seeing(once(0), Some(told), vec![task("a", "token")]).check("task-1 acted 1");
    // Whoever has asked for it a moment ago may see it yet.
    seeing(once(0), Some(asked(1_000)), vec![]).check("busy");
    seeing(once(0), Some(asked(2 * MINUTE)), vec![]).check("deregister demand:1, task-1 acted 1, busy");
}

#[test]
fn a_task_of_its_group_that_nobody_knows_is_stopped() {
    seeing(once(1), Some(started()), vec![task("a", "token"), task("b", "old")]).check("stop b, task-1 acted 1, busy");
    seeing(once(1), None, vec![task("b", "old")]).check("run task_task-1 demand:1, stop b, busy");
    seeing(once(1), Some(Run::Sought), vec![task("b", "old")]).check("busy");
}

#[test]
fn it_is_removed_once_its_task_has_stopped() {
    seeing(absent("task-1"), Some(started()), vec![task("a", "token")]).check("stop a, busy");
    let told = Run::Task { arn: "a".to_owned(), stop: Made::Yes };
    let mut stopping = seeing(absent("task-1"), Some(told), vec![task("a", "token")]);
    stopping.look.tasks[0].desired = DesiredStatus::Stopped;
    stopping.check("deregister demand:1, busy");
    stopping.look.tasks.clear();
    stopping.record.processes.entry(name("task-1")).or_default().definitions.clear();
    stopping.check("busy");
    stopped_memory(&mut stopping);
    let plan = stopping.plan();
    assert_eq!(plan.gone, [name("task-1")]);
    seeing(absent("task-1"), Some(asked(1_000)), vec![]).check("deregister demand:1, busy");
}

#[test]
fn only_a_first_start_that_was_refused_has_not_run() {
    let case = seeing(once(1), None, vec![]);
    let [first] = <[Deed; 1]>::try_from(case.plan().deeds).expect("one deed");
    assert!(first.is_intent());
    let mut intended = case.record.clone();
    first.intend(&mut intended);
    let [again] = <[Deed; 1]>::try_from(Case { record: intended.clone(), ..case }.plan().deeds).expect("one deed");
    let after = |deed: &Deed, fault| {
        let mut record = intended.clone();
        let error = ApiError { operation: Operation::RunTask, fault, text: String::new() };
        let answered = Answered { operation: Operation::RunTask, result: Err(error), at: NOW };
        assert!(deed.fold(&mut record, answered).is_err());
        record.processes[&name("task-1")].run.is_some()
    };
    for fault in [ApiFault::Throttled, ApiFault::Capacity, ApiFault::Denied, ApiFault::Quota, ApiFault::Invalid] {
        assert!(!after(&first, fault), "{fault:?}: it may be asked for with a token of its own");
        assert!(after(&again, fault), "{fault:?}: the call before may have started it");
    }
    assert!(after(&first, ApiFault::Unavailable));
    let mut record = intended.clone();
    let result = Ok(Answer::Tasks(vec![task("a", "token")]));
    first.fold(&mut record, Answered { operation: Operation::RunTask, result, at: NOW }).expect("folds");
    assert_eq!(record.processes[&name("task-1")].run, Some(started()));
}
