//! What AWS says, in words that a person can act on. Its own words follow in brackets where ours may not be the whole truth.

use tapit_model::{Exit, ReasonCode, Seconds};

use crate::api::{TargetHealth, TargetState};
use crate::quote::with_theirs;

pub(super) const ACTIVATING: &str = "runs, and ECS adds it to the load balancer";
pub(super) const NOT_YET: &str = "not healthy yet: ";
pub(super) const CRASHED: &str = "crashed";
pub(super) const COMPLETED: &str =
    "completed: it ended by itself with exit 0; work that ends is a task, not a process (create task)";
pub(super) const COMPLETED_ONCE: &str = "completed";
pub(super) const ASKED: &str = "it was asked to stop";
pub(super) const UNKNOWN: &str =
    "AWS's answer to its start was lost, and nobody can tell any more whether it ran; it is not run again";
pub(super) const STARTS_ANOTHER: &str = "ECS starts another one";
pub(super) const IS_NOT_REPEATED: &str = "it is not run again";
pub(super) const MAINTENANCE: &str = "AWS took away the machine that it ran on; ECS starts another one";
pub(super) const BY_HAND: &str = "stopped by hand";
pub(super) const UNHEALTHY: &str = "did not get or stay healthy: the load balancer's checks failed, so ECS stopped it";

const UNREACHABLE: &str = "ECS cannot reach the registry from its subnets: give them a NAT gateway or public addresses";

/// Where AWS says one of these, in small letters, it means this.
struct Meaning {
    /// The kind of error; empty: any.
    of: &'static str,
    says: &'static [&'static str],
    means: &'static str,
}

const PULL: &str = "cannotpull";
const RESOURCES: &str = "resourceinitialization";

/// The first that fits counts. Networks come before rights, since a token that could not be fetched reads as if it were
/// refused, and refusals before missing images, since a registry hides what it does not show.
const MEANINGS: &[Meaning] = &[
    Meaning {
        of: PULL,
        says: &["toomanyrequests", "rate limit"],
        means: "the registry gives no more images, as it was asked too often: take the image from one that knows \
                you, such as ECR",
    },
    Meaning {
        of: PULL,
        says: &[
            "timeout",
            "timed out",
            "dial tcp",
            "no route",
            "deadline exceeded",
            "no such host",
            "connection issue",
            "connection refused",
            "request canceled",
        ],
        means: UNREACHABLE,
    },
    Meaning {
        of: PULL,
        says: &["denied", "unauthorized", "forbidden", "not authorized", "no basic auth", "has the permissions"],
        means: "the registry does not give the image to ECS: let the execution role read it in ECR, or make it public",
    },
    Meaning {
        of: PULL,
        says: &["matching platform", "no matching manifest"],
        means: "the image is not made for linux/amd64",
    },
    Meaning {
        of: PULL,
        says: &["not found", "manifest unknown", "does not exist", "name unknown"],
        means: "the registry has no such image: check its name and tag",
    },
    Meaning { of: PULL, says: &["no space left"], means: "the image is larger than the disk of a task" },
    Meaning { of: PULL, says: &[""], means: "the image could not be pulled" },
    Meaning {
        of: RESOURCES,
        says: &[
            "timeout",
            "timed out",
            "dial tcp",
            "no route",
            "deadline exceeded",
            "no such host",
            "connection issue",
        ],
        means: "ECS cannot reach the services of AWS that a start needs (ECR, logs, secrets) from its subnets: give them a \
                NAT gateway or public addresses",
    },
    Meaning {
        of: RESOURCES,
        says: &["log group", "logs", "logger", "log stream"],
        means: "its log group cannot be written: let the execution role create streams in it and put events",
    },
    Meaning {
        of: RESOURCES,
        says: &["secret", "registry auth", "parameter"],
        means: "ECS could not read the login of the registry, or a secret: give the execution role the right to",
    },
    Meaning {
        of: "",
        says: &["assume the role", "assume role", "unable to assume"],
        means: "ECS may not use the execution role: it must trust ecs-tasks.amazonaws.com",
    },
    Meaning {
        of: "",
        says: &["network interface", "free addresses", "resource:eni"],
        means: "it got no network interface: its subnets may have no free address left, or the account no more interfaces",
    },
    Meaning {
        of: "",
        says: &["number of vcpus"],
        means: "the account's quota of Fargate vCPUs is used up: ask AWS for a larger one, or scale something down",
    },
    Meaning { of: "", says: &["capacity is unavailable"], means: "no Fargate capacity now; ECS tries again by itself" },
    Meaning {
        of: "",
        says: &["executable file not found", "no such file or directory"],
        means: "the image does not hold the program that is to be run: check command=",
    },
    Meaning { of: "", says: &["exec format"], means: "the program is not made for linux/amd64" },
    Meaning { of: "", says: &["permission denied"], means: "the program that is to be run is not executable" },
    Meaning { of: RESOURCES, says: &[""], means: "ECS could not set up what the task needs" },
    Meaning { of: "", says: &["timeout"], means: "the container did not start in time" },
];

/// In what AWS says of a container or a task that never ran.
const START_FAILURES: [&str; 6] = [
    PULL,
    RESOURCES,
    "cannotstartcontainer",
    "cannotcreatecontainer",
    "timeouterror",
    "network interface provisioning",
];

/// Whether a text says something, in small letters.
pub(super) fn says(text: &str, what: &str) -> bool {
    text.to_ascii_lowercase().contains(what)
}

pub(super) fn is_start_failure(said: &str) -> bool {
    START_FAILURES.iter().any(|what| says(said, what))
}

pub(super) fn start_failure(said: &str) -> &'static str {
    meaning(said).unwrap_or("it could not be started")
}

/// What AWS means, where that is known.
pub(super) fn meaning(said: &str) -> Option<&'static str> {
    let said = said.to_ascii_lowercase();
    let fits = |meaning: &&Meaning| said.contains(meaning.of) && meaning.says.iter().any(|what| said.contains(what));
    MEANINGS.iter().find(fits).map(|meaning| meaning.means)
}

pub(super) fn out_of_memory(exit: &Exit) -> String {
    format!("out of memory: {}; give it more with memory=", exit.describe())
}

pub(super) fn runs_for(needed: Seconds) -> String {
    format!("counts as healthy once it has run for {} s: ECS checks nothing else of it", needed.0)
}

/// Why a target is not healthy.
pub(super) fn target(target: Option<&TargetHealth>) -> String {
    let Some(target) = target else { return "the load balancer does not list it yet".to_owned() };
    let reason = target.reason.as_deref().unwrap_or_default();
    match (target.state, reason) {
        (TargetState::Initial, _) => "the load balancer has not finished its first checks".to_owned(),
        (TargetState::Unused, _) => "no rule of the load balancer leads to it yet".to_owned(),
        (_, "Target.Timeout") => {
            format!(
                "the load balancer gets no answer from it on port {}: does it listen there, on all addresses?",
                target.port
            )
        }
        (_, "Target.ResponseCodeMismatch") => "it answers the load balancer's check with an error".to_owned(),
        (_, "Target.FailedHealthChecks") => {
            format!("the load balancer cannot connect to port {}, or it hangs up", target.port)
        }
        (TargetState::Healthy | TargetState::Unhealthy | TargetState::Draining, theirs) => {
            with_theirs("the load balancer's checks fail", theirs)
        }
    }
}

pub(super) fn of_order(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Surplus => "not wanted any more: the count was lowered, or it stood in for a spot instance",
        ReasonCode::Replaced => "replaced by an instance of a newer generation",
        ReasonCode::RolledBack => "its generation was given up",
        ReasonCode::Disabled => "the process is disabled",
        ReasonCode::Deleted => "the process is deleted",
        ReasonCode::Reclaimed => "spot capacity reclaimed by AWS; ECS starts another one once there is some",
        ReasonCode::Unhealthy => UNHEALTHY,
        ReasonCode::Crashed => CRASHED,
        ReasonCode::Completed => COMPLETED,
        ReasonCode::OutOfMemory => "out of memory",
        ReasonCode::StartFailed => "it could not be started",
        ReasonCode::Lost => "lost",
        ReasonCode::Starting => "starting",
        ReasonCode::BackOff => "waits before the next attempt",
    }
}
