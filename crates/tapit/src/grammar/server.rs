//! `server` and `teardown`: the side of the binary that holds the instances. Only their flags are known here.

use tapit_model::{Code, Refusal};

use super::{Example, Flag, Keys, Object, Row, Scope, Typed, flags};
use crate::invocation::{Action, EcsWords, EngineWords, ServerWords};

const fn valued(long: &'static str, value: &'static str, help: &'static str, variable: &'static str) -> Flag {
    Flag { long, short: None, value: Some(value), choices: &[], help, variable: Some(variable) }
}

pub static DATA_DIR: Flag = valued(
    "data-dir",
    "DIR",
    "where everything is kept (default /var/lib/tapit for root, else the user's data directory)",
    "TAPIT_DATA_DIR",
);
pub static API: Flag =
    valued("api", "unix:///PATH|HOST:PORT", "where commands are answered (default DIR/tapit.sock)", "TAPIT_API");
pub static HTTP: Flag = valued("http", "HOST:PORT", "where apps are served (default 127.0.0.1:8080)", "TAPIT_HTTP");
pub static ENGINE: Flag = Flag {
    choices: &["embedded", "ecs"],
    ..valued("engine", "embedded|ecs", "what runs instances (default embedded)", "TAPIT_ENGINE")
};
pub static EPHEMERAL: Flag = Flag {
    long: "ephemeral",
    short: None,
    value: None,
    choices: &[],
    help: "remove everything again, network and data included, when the server ends",
    variable: Some("TAPIT_EPHEMERAL"),
};
pub static CAPACITY_MEMORY: Flag = valued(
    "capacity-memory",
    "GB",
    "memory that instances may take together (default: what the host has to spare)",
    "TAPIT_CAPACITY_MEMORY",
);
pub static SPARES_MEMORY: Flag = valued(
    "spares-memory",
    "GB",
    "memory for containers that are made before they are needed, so that starts are quick (default 64M; 0: none)",
    "TAPIT_SPARES_MEMORY",
);
pub static RESERVE_MEMORY: Flag = valued(
    "reserve-memory",
    "GB",
    "memory that the host should keep available, whatever uses it: below it, spot instances are reclaimed (default 5 % of \
     the host's, at most 1 GB; 0: none)",
    "TAPIT_RESERVE_MEMORY",
);
pub static IMAGES_DISK: Flag = valued(
    "images-disk",
    "GB",
    "disk that images may take before unused ones are forgotten by themselves (default: half of the file system; 0: no bound)",
    "TAPIT_IMAGES_DISK",
);
pub static ECS_REGION: Flag =
    valued("ecs-region", "REGION", "region of AWS (default: as the AWS configuration says)", "TAPIT_ECS_REGION");
pub static ECS_SUBNETS: Flag = valued(
    "ecs-subnets",
    "ID,ID",
    "subnets that instances run in (default: those of the default VPC)",
    "TAPIT_ECS_SUBNETS",
);
pub static ECS_SECURITY_GROUPS: Flag = valued(
    "ecs-security-groups",
    "ID,ID",
    "security groups of instances beside the one that each app has",
    "TAPIT_ECS_SECURITY_GROUPS",
);
pub static ECS_LISTENER: Flag = valued(
    "ecs-listener",
    "ARN",
    "listener of an application load balancer that leads to the apps (default: one is made)",
    "TAPIT_ECS_LISTENER",
);
pub static ECS_DOMAIN: Flag = valued(
    "ecs-domain",
    "DOMAIN",
    "apps answer as APP.DOMAIN (default: the first one answers under the load balancer's own name)",
    "TAPIT_ECS_DOMAIN",
);
pub static ECS_EXECUTION_ROLE: Flag = valued(
    "ecs-execution-role",
    "ARN",
    "role that ECS pulls images and writes logs with (default: one is made)",
    "TAPIT_ECS_EXECUTION_ROLE",
);
pub static ECS_TASK_ROLE: Flag =
    valued("ecs-task-role", "ARN", "role that instances themselves have (default: none)", "TAPIT_ECS_TASK_ROLE");
pub static ECS_ASSIGN_PUBLIC_IP: Flag = Flag {
    choices: &["true", "false"],
    ..valued(
        "ecs-assign-public-ip",
        "true|false",
        "whether instances get public addresses (default: yes where all subnets are public)",
        "TAPIT_ECS_ASSIGN_PUBLIC_IP",
    )
};
pub static LOG_FORMAT: Flag = Flag {
    choices: &["text", "json"],
    ..valued("log-format", "text|json", "how the server's own log is written (default text)", "TAPIT_LOG_FORMAT")
};

pub static ROWS: &[Row] = &[
    Row {
        verb: "server",
        object: Object::Nothing,
        scope: Scope::Server,
        summary: "Run a server in the foreground",
        about: "Prints one line when it is ready: tapit ready api=URL http=HOST:PORT engine=NAME. SIGTERM ends the server and \
                leaves the instances running; a server that starts again takes them over. A data directory belongs to one \
                engine; what is said of memory is for the embedded one alone, and --ecs-… for the other.",
        words: &[],
        keys: Keys::Nothing,
        flags: &[
            &DATA_DIR,
            &API,
            &HTTP,
            &ENGINE,
            &EPHEMERAL,
            &CAPACITY_MEMORY,
            &SPARES_MEMORY,
            &RESERVE_MEMORY,
            &IMAGES_DISK,
            &LOG_FORMAT,
            &ECS_REGION,
            &ECS_SUBNETS,
            &ECS_SECURITY_GROUPS,
            &ECS_LISTENER,
            &ECS_DOMAIN,
            &ECS_EXECUTION_ROLE,
            &ECS_TASK_ROLE,
            &ECS_ASSIGN_PUBLIC_IP,
        ],
        examples: &[
            Example { line: "tapit server", what: "with the defaults" },
            Example {
                line: "tapit server --data-dir /tmp/try --http 127.0.0.1:0 --ephemeral",
                what: "leaves nothing behind",
            },
            Example {
                line: "tapit server --engine ecs --ecs-region eu-central-1",
                what: "on AWS, with the credentials that are there; as any user",
            },
        ],
        exits: &[Code::Failed, Code::Usage, Code::Conflict],
        mean: server,
    },
    Row {
        verb: "teardown",
        object: Object::Nothing,
        scope: Scope::Server,
        summary: "Remove everything that a server ever made",
        about: "Instances, network and data, of a stopped or running server. Asks on a terminal; without one it needs --force.",
        words: &[],
        keys: Keys::Nothing,
        flags: &[&DATA_DIR, &flags::FORCE],
        examples: &[Example { line: "tapit teardown --data-dir /tmp/try --force", what: "without a question" }],
        exits: &[Code::Failed, Code::Usage, Code::Denied],
        mean: |typed| Ok(Action::Teardown { data_dir: path(typed)? }),
    },
];

fn path(typed: &Typed) -> Result<Option<std::path::PathBuf>, Refusal> {
    match typed.value(&DATA_DIR) {
        Some("") => Err(Refusal::usage("--data-dir is empty; give a directory")),
        dir => Ok(dir.map(Into::into)),
    }
}

fn server(typed: &Typed) -> Result<Action, Refusal> {
    let value = |flag| typed.value(flag).map(str::to_owned);
    Ok(Action::Server(ServerWords {
        data_dir: path(typed)?,
        api: value(&API),
        http: value(&HTTP),
        engine: EngineWords {
            capacity_memory: value(&CAPACITY_MEMORY),
            spares_memory: value(&SPARES_MEMORY),
            reserve_memory: value(&RESERVE_MEMORY),
            ..engine(typed)
        },
        ephemeral: typed.has(&EPHEMERAL),
        images_disk: value(&IMAGES_DISK),
        log_format: value(&LOG_FORMAT),
    }))
}

/// Which engine, and where and as whom it runs instances: also what `doctor` takes.
pub fn engine(typed: &Typed) -> EngineWords {
    let value = |flag| typed.value(flag).map(str::to_owned);
    let ecs = EcsWords {
        region: value(&ECS_REGION),
        subnets: value(&ECS_SUBNETS),
        security_groups: value(&ECS_SECURITY_GROUPS),
        listener: value(&ECS_LISTENER),
        domain: value(&ECS_DOMAIN),
        execution_role: value(&ECS_EXECUTION_ROLE),
        task_role: value(&ECS_TASK_ROLE),
        assign_public_ip: value(&ECS_ASSIGN_PUBLIC_IP),
    };
    EngineWords { name: value(&ENGINE), ecs, ..EngineWords::default() }
}
