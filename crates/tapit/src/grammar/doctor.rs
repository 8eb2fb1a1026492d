//! `doctor`: what an engine has and lacks here.

use tapit_model::Code;

use super::server::{
    ECS_ASSIGN_PUBLIC_IP, ECS_EXECUTION_ROLE, ECS_LISTENER, ECS_REGION, ECS_SECURITY_GROUPS, ECS_SUBNETS,
    ECS_TASK_ROLE, ENGINE, engine,
};
use super::{Example, Keys, Object, Row, Scope};
use crate::invocation::Action;

pub static ROWS: &[Row] = &[Row {
    verb: "doctor",
    object: Object::Nothing,
    scope: Scope::Server,
    summary: "Say what this machine has and lacks for running containers",
    about: "Looks at this machine and needs no server; where one runs here, its version is told. What is lacking is said \
            with what it costs and how to mend it. Ends with 0 when containers can run and with 1 when something they need is \
            missing. Some things can be seen by root alone. With --engine ecs it looks at the AWS account instead: credentials, \
            each permission, and what the other flags name.",
    words: &[],
    keys: Keys::Nothing,
    flags: &[
        &ENGINE,
        &ECS_REGION,
        &ECS_SUBNETS,
        &ECS_SECURITY_GROUPS,
        &ECS_LISTENER,
        &ECS_EXECUTION_ROLE,
        &ECS_TASK_ROLE,
        &ECS_ASSIGN_PUBLIC_IP,
    ],
    examples: &[
        Example { line: "tapit doctor", what: "as root, before the first server and after an upgrade of the kernel" },
        Example {
            line: "tapit doctor --engine ecs --ecs-region eu-central-1",
            what: "before the first server on AWS, with its credentials",
        },
    ],
    exits: &[Code::Failed, Code::Usage],
    mean: |typed| Ok(Action::Doctor(engine(typed))),
}];
