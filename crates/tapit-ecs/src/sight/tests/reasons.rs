use tapit_model::ReasonCode;

use super::*;

/// Why a task that had been running is said to have ended.
fn reason(change: impl FnOnce(&mut Bench)) -> String {
    let mut bench = Bench::new(2, 2);
    bench.healthy(&["a"], Spot);
    change(&mut bench);
    let sight = bench.see();
    let reason = sight.instances[0].reason.clone().expect("it ended");
    format!("{:?}: {}", reason.code, reason.text)
}

fn stopped(code: &str, task: &str, container: &str) -> String {
    reason(|bench| {
        bench.stops("a", code, task);
        bench.task("a").container_reason = (!container.is_empty()).then(|| container.to_owned());
    })
}

#[test]
fn an_exit_is_told_by_its_status() {
    let exit = |code| reason(|bench| bench.exits("a", code));
    assert_eq!(exit(7), "Crashed: crashed: exit 7");
    assert_eq!(exit(137), "Crashed: crashed: signal 9");
    assert_eq!(exit(139), "Crashed: crashed: signal 11");
    assert_eq!(exit(128), "Crashed: crashed: exit 128");
    assert_eq!(exit(255), "Crashed: crashed: exit 255");
    assert_eq!(
        exit(0),
        "Completed: completed: it ended by itself with exit 0; work that ends is a task, not a process (create task)"
    );
}

#[test]
fn one_out_of_memory_says_so_in_its_exit_too() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    bench.exits("a", 137);
    bench.task("a").container_reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
    let sight = bench.see();
    let (reason, exit) = (sight.instances[0].reason.clone().expect("ended"), sight.instances[0].last_exit);
    assert_eq!(reason.code, ReasonCode::OutOfMemory);
    assert_eq!(reason.text, "out of memory: signal 9 (out of memory); give it more with memory=");
    assert!(exit.is_some_and(|exit| exit.oom && exit.signal == Some(9) && exit.code.is_none()), "{exit:?}");
}

#[test]
fn an_image_that_cannot_be_pulled_says_what_to_do() {
    let pull = |text: &str| {
        let told = stopped("TaskFailedToStart", "Task failed to start", &format!("CannotPullContainerError: {text}"));
        told.split(" [").next().expect("text").to_owned()
    };
    for (theirs, ours) in [
        (
            "dial tcp 10.0.0.1:443: i/o timeout",
            "ECS cannot reach the registry from its subnets: give them a NAT gateway or public addresses",
        ),
        (
            "pull access denied for shop, repository does not exist or may require authorization",
            "the registry does not give the image to ECS: let the execution role read it in ECR, or make it public",
        ),
        (
            "failed to resolve ref docker.io/library/shop:v9: not found",
            "the registry has no such image: check its name and tag",
        ),
        (
            "image Manifest does not contain descriptor matching platform 'linux/amd64'",
            "the image is not made for linux/amd64",
        ),
        (
            "toomanyrequests: You have reached your pull rate limit",
            "the registry gives no more images, as it was asked too often: take the image from one that knows \
             you, such as ECR",
        ),
        ("something new", "the image could not be pulled"),
    ] {
        assert_eq!(pull(theirs), format!("StartFailed: {ours}"), "{theirs}");
    }
}

#[test]
fn what_aws_says_follows_in_brackets_shortened_and_on_one_line() {
    let told = stopped("TaskFailedToStart", "", &format!("CannotPullContainerError: a\nb{}", "ü".repeat(400)));
    let theirs = told.split_once(" [").expect("theirs").1;
    assert!(theirs.starts_with("CannotPullContainerError: a bü") && theirs.ends_with("ü…]"), "{theirs}");
    assert_eq!(theirs.chars().count(), 300 + 2);
}

#[test]
fn a_task_that_could_not_be_set_up_says_what_it_lacked() {
    for (theirs, ours) in [
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from \
             Amazon ECR: There is a connection issue between the task and Amazon ECR.",
            "ECS cannot reach the services of AWS that a start needs (ECR, logs, secrets) from its subnets: give them a NAT \
             gateway or public addresses",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException: not authorized",
            "ECS could not read the login of the registry, or a secret: give the execution role the right to",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: \
             ResourceNotFoundException: The specified log group does not exist.",
            "its log group cannot be written: let the execution role create streams in it and put events",
        ),
        (
            "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.",
            "ECS may not use the execution role: it must trust ecs-tasks.amazonaws.com",
        ),
        (
            "Timeout waiting for network interface provisioning to complete.",
            "it got no network interface: its subnets may have no free address left, or the account no more interfaces",
        ),
        (
            "CannotStartContainerError: OCI runtime create failed: exec: \"serve\": executable file not found in $PATH",
            "the image does not hold the program that is to be run: check command=",
        ),
        ("InternalError: something", "it could not be started"),
    ] {
        assert_eq!(stopped("TaskFailedToStart", theirs, ""), format!("StartFailed: {ours} [{theirs}]"));
    }
}

#[test]
fn what_was_done_to_it_is_told_by_who_did_it() {
    let spot = "Reclaimed: spot capacity reclaimed by AWS; ECS starts another one once there is some";
    assert_eq!(stopped("SpotInterruption", "Your Spot Task was interrupted.", ""), spot);
    assert_eq!(stopped("TerminationNotice", "", ""), spot);
    assert_eq!(
        stopped("UserInitiated", "interrupted by hand with tapit interrupt", ""),
        "Reclaimed: stopped by hand [interrupted by hand with tapit interrupt]"
    );
    assert_eq!(
        stopped("UserInitiated", "Task stopped by user", ""),
        "Reclaimed: stopped by hand [Task stopped by user]"
    );
    assert_eq!(stopped("UserInitiated", "cleaning", ""), "Reclaimed: stopped by hand [cleaning]");
    let maintenance = "ECS is performing maintenance on the underlying infrastructure hosting the task.";
    assert_eq!(
        stopped("ServiceSchedulerInitiated", maintenance, ""),
        format!("Reclaimed: AWS took away the machine that it ran on; ECS starts another one [{maintenance}]")
    );
    let health = "Task failed ELB health checks in (target-group arn:aws:x)";
    assert_eq!(
        stopped("ServiceSchedulerInitiated", health, ""),
        format!(
            "Unhealthy: did not get or stay healthy: the load balancer's checks failed, so ECS stopped it [{health}]"
        )
    );
}

#[test]
fn a_stop_by_the_scheduler_is_told_by_what_is_wanted() {
    let ordered = |change: &dyn Fn(&mut Bench)| {
        let told = reason(|bench| {
            change(bench);
            bench.scheduler_stops("a");
        });
        told.split(':').next().expect("a code").to_owned()
    };
    assert_eq!(ordered(&|bench| bench.wanted().spot = 0), "Surplus");
    assert_eq!(ordered(&|bench| bench.wanted().generation = 2), "Replaced");
    assert_eq!(ordered(&|bench| bench.wanted().generation = 0), "RolledBack");
    assert_eq!(ordered(&|bench| bench.given_up.push(definition_arn(1))), "RolledBack");
    assert_eq!(ordered(&|bench| bench.formation = None), "Deleted");
    assert_eq!(
        ordered(&|bench| {
            bench.wanted().demand = 0;
            bench.wanted().spot = 0;
        }),
        "Disabled"
    );
    let called = reason(|bench| {
        bench.wanted().spot = 1;
        bench.stops("a", "UserInitiated", "Service scaling down");
    });
    assert!(called.starts_with("Surplus"), "{called}");
}

#[test]
fn why_it_ends_is_what_was_wanted_when_that_began() {
    let mut bench = Bench::new(2, 0);
    bench.healthy(&["a"], Demand);
    bench.wanted().generation = 2;
    bench.task("a").desired = DesiredStatus::Stopped;
    assert_eq!(bench.lines(), ["a demand 1 stopping: Replaced"]);
    bench.formation = None;
    bench.scheduler_stops("a");
    assert_eq!(bench.lines(), ["a demand 1 stopped: Replaced"]);
}

#[test]
fn what_is_told_late_is_believed() {
    let mut bench = Bench::new(1, 0);
    bench.healthy(&["a"], Demand);
    let task = bench.task("a");
    (task.status, task.desired) = (TaskStatus::Deprovisioning, DesiredStatus::Stopped);
    assert_eq!(bench.lines(), ["a demand 1 stopping: Surplus"]);
    bench.exits("a", 4);
    assert_eq!(bench.lines(), ["a demand 1 stopped (exit 4): Crashed"]);
}
