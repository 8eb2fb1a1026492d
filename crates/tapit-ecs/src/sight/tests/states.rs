use tapit_model::{Check, InstanceState, Moment, Seconds, Timestamp};

use super::*;

fn text(bench: &mut Bench) -> String {
    let sight = bench.see();
    sight.instances[0].reason.clone().map(|reason| reason.text).unwrap_or_default()
}

#[test]
fn a_task_goes_from_pending_to_healthy() {
    let mut bench = Bench::new(1, 0);
    bench.made("a", Demand).status = TaskStatus::Provisioning;
    assert_eq!(bench.lines(), ["a demand 1 pending"]);
    let now = bench.ecs_now();
    let task = bench.task("a");
    (task.status, task.pull_started_at) = (Pending, Some(now));
    assert_eq!(bench.lines(), ["a demand 1 pulling"]);
    let task = bench.task("a");
    (task.status, task.pull_stopped_at) = (TaskStatus::Activating, Some(now));
    assert_eq!(bench.lines(), ["a demand 1 starting: Starting"]);
    bench.runs("a");
    assert_eq!(bench.lines(), ["a demand 1 starting: Starting"]);
    assert_eq!(text(&mut bench), "counts as healthy once it has run for 2 s: ECS checks nothing else of it");
    bench.pass(2);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn an_instance_is_told_of_with_all_that_ecs_tells() {
    let mut bench = Bench::new(1, 0);
    bench.pass(5);
    bench.healthy(&["a"], Demand);
    let instance = bench.see().instances.remove(0);
    assert_eq!(instance.id.as_str(), "a");
    assert_eq!(instance.size, Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) });
    assert_eq!(instance.ip, Some(Ipv4Addr::new(10, 0, 0, 0)));
    assert_eq!(instance.port, None, "the router of this server must make no route of it");
    assert_eq!(instance.created_at, Timestamp(ECS_BEGINS + 5000));
    assert_eq!(instance.started_at, Some(Timestamp(ECS_BEGINS + 5000)));
    assert_eq!(instance.healthy_at, Some(Timestamp(OURS_BEGINS + 7000)));
    assert_eq!((instance.stopped_at, instance.last_exit, instance.restarts), (None, None, 0));
}

#[test]
fn without_a_port_it_is_healthy_after_the_time_that_was_set() {
    let mut bench = Bench::new(1, 0);
    bench.wanted().check = Check::Uptime(Seconds(30));
    bench.healthy(&["a"], Demand);
    bench.pass(27);
    assert_eq!(bench.lines(), ["a demand 1 starting: Starting"]);
    bench.pass(1);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn a_public_one_is_healthy_when_the_load_balancer_says_so() {
    let mut bench = Bench::public(1, 0);
    bench.healthy(&["a"], Demand);
    assert_eq!(text(&mut bench), "not healthy yet: the load balancer does not list it yet");
    bench.target("a", TargetState::Initial, Some("Elb.RegistrationInProgress"));
    assert_eq!(text(&mut bench), "not healthy yet: the load balancer has not finished its first checks");
    bench.target("a", TargetState::Unused, Some("Target.NotInUse"));
    assert_eq!(text(&mut bench), "not healthy yet: no rule of the load balancer leads to it yet");
    bench.target("a", TargetState::Unhealthy, Some("Target.Timeout"));
    assert_eq!(bench.lines(), ["a demand 1 starting: Starting"]);
    assert_eq!(
        text(&mut bench),
        "not healthy yet: the load balancer gets no answer from it on port 8080: does it listen there, on all addresses?"
    );
    bench.target("a", TargetState::Healthy, None);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn one_that_was_healthy_is_so_until_the_load_balancer_says_otherwise() {
    let mut bench = Bench::public(1, 0);
    bench.made("a", Demand);
    bench.runs("a");
    bench.target("a", TargetState::Healthy, None);
    bench.see();
    bench.look.targets.clear();
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
    bench.target("a", TargetState::Unhealthy, Some("Target.ResponseCodeMismatch"));
    assert_eq!(bench.lines(), ["a demand 1 unhealthy: Unhealthy"]);
    assert_eq!(text(&mut bench), "it answers the load balancer's check with an error");
    bench.look.targets.clear();
    assert_eq!(bench.lines(), ["a demand 1 unhealthy: Unhealthy"]);
    bench.target("a", TargetState::Healthy, None);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
    bench.target("a", TargetState::Draining, None);
    assert_eq!(bench.lines(), ["a demand 1 draining"]);
    bench.look.targets.clear();
    assert_eq!(bench.lines(), ["a demand 1 draining"], "its route is gone, and ECS has not told it to end yet");
}

#[test]
fn the_target_of_an_earlier_owner_of_an_address_is_not_taken_for_its_own() {
    let mut bench = Bench::public(1, 0);
    bench.made("a", Demand);
    bench.runs("a");
    bench.target("a", TargetState::Draining, None);
    let mut own = bench.look.targets[0].clone();
    (own.port, own.state) = (9090, TargetState::Healthy);
    bench.look.targets.push(own);
    assert_eq!(bench.lines(), ["a demand 1 healthy"]);
}

#[test]
fn one_that_ends_drains_then_stops_and_never_lives_again() {
    let mut bench = Bench::public(1, 0);
    bench.made("a", Demand);
    bench.runs("a");
    bench.target("a", TargetState::Healthy, None);
    bench.see();
    bench.wanted().demand = 0;
    bench.target("a", TargetState::Draining, None);
    let before = bench.task("a").clone();
    let task = bench.task("a");
    (task.status, task.desired) = (TaskStatus::Deactivating, DesiredStatus::Stopped);
    assert_eq!(bench.lines(), ["a demand 1 draining: Disabled"]);
    *bench.task("a") = before.clone();
    assert_eq!(bench.lines(), ["a demand 1 draining: Disabled"], "an answer of before came late");
    let task = bench.task("a");
    (task.status, task.desired) = (TaskStatus::Stopping, DesiredStatus::Stopped);
    assert_eq!(bench.lines(), ["a demand 1 stopping: Disabled"], "it was told to end: nothing may be sent to it");
    bench.task("a").status = TaskStatus::Deactivating;
    assert_eq!(bench.lines(), ["a demand 1 stopping: Disabled"]);
    bench.scheduler_stops("a");
    bench.task("a").exit_code = Some(143);
    assert_eq!(bench.lines(), ["a demand 1 stopped (signal 15): Disabled"]);
    *bench.task("a") = before;
    assert_eq!(bench.lines(), ["a demand 1 stopped (signal 15): Disabled"]);
}

#[test]
fn since_when_it_is_healthy_stays_the_same_for_later_looks_and_later_servers() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    let first = bench.see().instances[0].healthy_at;
    assert_eq!(first, Some(Timestamp(OURS_BEGINS + 2000)));
    bench.pass(3600);
    assert_eq!(bench.see().instances[0].healthy_at, first);
    let subject = Subject {
        key: &bench.key,
        formation: bench.formation.as_ref(),
        definitions: &bench.definitions,
        given_up: &[],
        run: None,
    };
    // After a start of the host, moments begin anew.
    let look = Look { moment: Moment(3), ..bench.look.clone() };
    let memory = bench.memory.after(&subject, &look);
    assert_eq!(observed(&memory, &subject, &look).instances[0].healthy_at, first);
    assert_eq!(observed(&memory, &subject, &Look::default()).instances[0].state, InstanceState::Healthy);
}

#[test]
fn a_start_of_the_host_makes_nothing_healthy_or_late() {
    let mut bench = Bench::new(1, 0);
    bench.wanted().check = Check::Uptime(Seconds(30));
    bench.made("a", Demand);
    bench.runs("a");
    bench.pass(500);
    bench.see();
    bench.passed = -999_000;
    let see = |bench: &mut Bench| {
        bench.look.moment = Moment(u64::try_from(bench.passed + 1_000_000).expect("positive"));
        let subject = Subject {
            key: &bench.key,
            formation: bench.formation.as_ref(),
            definitions: &bench.definitions,
            given_up: &[],
            run: None,
        };
        bench.memory = bench.memory.after(&subject, &bench.look);
        observed(&bench.memory, &subject, &bench.look)
    };
    assert_eq!(see(&mut bench).instances[0].state, InstanceState::Starting);
    bench.pass(29);
    let sight = see(&mut bench);
    assert_eq!((sight.instances[0].state, sight.failure), (InstanceState::Starting, None));
    bench.pass(1);
    assert_eq!(see(&mut bench).instances[0].state, InstanceState::Healthy);
}

#[test]
fn tasks_of_others_are_none_of_its() {
    let mut bench = Bench::new(1, 1);
    bench.made("a", Spot);
    for (id, group) in [("b", "service:api-spot"), ("c", "service:web"), ("d", "family:api"), ("e", "api")] {
        bench.made(id, Demand).group = group.to_owned();
    }
    assert_eq!(bench.lines(), ["a spot 1 pending"]);
}

#[test]
fn a_generation_is_learned_late_and_never_forgotten() {
    let mut bench = Bench::new(1, 0);
    let known = std::mem::take(&mut bench.definitions);
    bench.made("a", Demand).task_definition = definition_arn(2);
    assert_eq!(bench.lines(), ["a demand 0 pending"]);
    bench.definitions = known;
    assert_eq!(bench.lines(), ["a demand 2 pending"]);
    bench.definitions.clear();
    assert_eq!(bench.lines(), ["a demand 2 pending"]);
}

#[test]
fn the_oldest_comes_first() {
    let mut bench = Bench::new(2, 1);
    bench.made("z", Demand);
    bench.pass(1);
    bench.made("b", Spot);
    bench.made("a", Demand);
    assert_eq!(bench.lines(), ["z demand 1 pending", "a demand 1 pending", "b spot 1 pending"]);
}
