//! The answers. Each request documents which one it is given; any other is AWS's mistake or ours, and told as such.

use super::error::{ApiError, ApiFault};
use super::nouns::*;
use super::operation::Operation;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// An ARN, an id, or a URI.
    Id(String),
    Names {
        names: Vec<String>,
        next: Option<String>,
    },
    Account {
        account: String,
        arn: String,
    },
    TaskDefinition(Box<TaskDefinition>),
    Service(Box<Service>),
    Services(Vec<Service>),
    Tasks(Vec<Task>),
    Subnets(Vec<Subnet>),
    LoadBalancer(LoadBalancer),
    Listeners(Vec<Listener>),
    Targets(Vec<TargetHealth>),
    Rules {
        rules: Vec<Rule>,
        next: Option<String>,
    },
    LogEvents {
        events: Vec<LogEvent>,
        next: String,
    },
    Login(RegistryLogin),
}

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident -> $type:ty { $pattern:pat => $value:expr })*) => {
        impl Answer {
            $($(#[$doc])*
            pub fn $name(self, operation: Operation) -> Result<$type, ApiError> {
                match self {
                    $pattern => Ok($value),
                    other => Err(other.unexpected(operation)),
                }
            })*
        }
    };
}

readers! {
    id -> String { Answer::Id(id) => id }
    names -> (Vec<String>, Option<String>) { Answer::Names { names, next } => (names, next) }
    account -> (String, String) { Answer::Account { account, arn } => (account, arn) }
    task_definition -> TaskDefinition { Answer::TaskDefinition(definition) => *definition }
    service -> Service { Answer::Service(service) => *service }
    services -> Vec<Service> { Answer::Services(services) => services }
    tasks -> Vec<Task> { Answer::Tasks(tasks) => tasks }
    subnets -> Vec<Subnet> { Answer::Subnets(subnets) => subnets }
    load_balancer -> LoadBalancer { Answer::LoadBalancer(balancer) => balancer }
    listeners -> Vec<Listener> { Answer::Listeners(listeners) => listeners }
    targets -> Vec<TargetHealth> { Answer::Targets(targets) => targets }
    rules -> (Vec<Rule>, Option<String>) { Answer::Rules { rules, next } => (rules, next) }
    log_events -> (Vec<LogEvent>, String) { Answer::LogEvents { events, next } => (events, next) }
    login -> RegistryLogin { Answer::Login(login) => login }
}

impl Answer {
    fn unexpected(self, operation: Operation) -> ApiError {
        ApiError { operation, fault: ApiFault::Unavailable, text: format!("an answer of another kind: {self:?}") }
    }
}
