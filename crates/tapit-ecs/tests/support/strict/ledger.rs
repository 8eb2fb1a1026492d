//! What an account holds, as far as later calls can be wrong about it: kept from the calls that were carried out.
//!
//! One layer sees all calls of its account, so nothing has to be asked of the emulator.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::call::{Call, Form, Input, Refusal, Service, members};
use super::{Reply, ecs, elb, fargate};

#[derive(Debug, Default)]
pub struct Ledger {
    /// With the capacity providers that belong to it.
    pub clusters: BTreeMap<String, BTreeSet<String>>,
    /// By ARN.
    pub definitions: BTreeMap<String, Definition>,
    /// By cluster and name.
    pub services: BTreeMap<(String, String), Deployed>,
    /// Tasks that were started alone, by cluster and token.
    pub runs: BTreeMap<(String, String), Started>,
    /// By ARN, as the next three.
    pub balancers: BTreeMap<String, Made>,
    pub target_groups: BTreeMap<String, Made>,
    pub listeners: BTreeMap<String, Listener>,
    pub rules: BTreeMap<String, Rule>,
}

#[derive(Debug)]
pub struct Definition {
    pub active: bool,
    /// `family:revision`
    pub name: String,
    /// Names of containers, with their ports.
    pub containers: BTreeMap<String, Vec<u64>>,
    pub awsvpc: bool,
}

#[derive(Debug)]
pub struct Deployed {
    pub active: bool,
    /// What it was made with, and the answer to that.
    pub input: Value,
    pub answer: Reply,
    pub strategy: Value,
}

/// As it was asked for, and what was answered.
#[derive(Debug)]
pub struct Started {
    pub input: Value,
    pub answer: Reply,
}

/// Something that is made once: asked for again with the same words, the first answer is given again.
#[derive(Debug)]
pub struct Made {
    pub name: String,
    pub form: Form,
    pub answer: Reply,
}

#[derive(Debug)]
pub struct Listener {
    pub balancer: String,
    pub port: String,
}

#[derive(Debug)]
pub struct Rule {
    pub listener: String,
    pub priority: String,
    pub target_groups: Vec<String>,
}

/// What is done with a call.
#[derive(Debug, Clone)]
pub enum Verdict {
    Forward,
    Refuse(Refusal),
    /// It was carried out before; this is what was answered.
    Replay(Reply),
}

impl Ledger {
    pub fn judge(&self, call: &Call) -> Verdict {
        let judged = match (&call.service, &call.input) {
            (Service::Ecs, Input::Json(input)) => ecs::judge(self, &call.operation, input),
            (Service::Elb, Input::Form(form)) => elb::judge(self, &call.operation, form),
            (Service::Ec2, Input::Form(form)) => {
                elb::judge_group(self, &call.operation, form).map(|()| Verdict::Forward)
            }
            (
                Service::Ecs | Service::Elb | Service::Ec2 | Service::Ecr | Service::Logs | Service::Iam | Service::Sts,
                Input::Json(_) | Input::Form(_),
            ) => Ok(Verdict::Forward),
        };
        judged.unwrap_or_else(Verdict::Refuse)
    }

    /// Takes down what a call has done, that was answered so.
    pub fn record(&mut self, call: &Call, reply: &Reply) {
        match (&call.service, &call.input) {
            (Service::Ecs, Input::Json(input)) => self.record_ecs(&call.operation, input, reply),
            (Service::Elb, Input::Form(form)) => self.record_elb(&call.operation, form, reply),
            (
                Service::Ecs | Service::Elb | Service::Ec2 | Service::Ecr | Service::Logs | Service::Iam | Service::Sts,
                Input::Json(_) | Input::Form(_),
            ) => {}
        }
    }

    fn record_ecs(&mut self, operation: &str, input: &Value, reply: &Reply) {
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match operation {
            "CreateCluster" | "PutClusterCapacityProviders" => {
                let name = input["clusterName"].as_str().or_else(|| input["cluster"].as_str()).unwrap_or("default");
                let providers = input["capacityProviders"].as_array().map(Vec::as_slice).unwrap_or_default();
                let of = self.clusters.entry(tail(name).to_owned()).or_default();
                of.extend(providers.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            "DeleteCluster" => {
                let cluster = ecs::cluster(input).to_owned();
                self.clusters.remove(&cluster);
                self.services.retain(|(of, _), _| *of != cluster);
                self.runs.retain(|(of, _), _| *of != cluster);
            }
            "RegisterTaskDefinition" => self.record_definition(&answer["taskDefinition"]),
            "DeregisterTaskDefinition" => {
                let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default();
                if let Some(definition) = self.definitions.get_mut(arn) {
                    definition.active = false;
                }
            }
            "RunTask" => {
                if let Some(token) = input["clientToken"].as_str() {
                    let started = Started { input: input.clone(), answer: reply.clone() };
                    self.runs.insert((ecs::cluster(input).to_owned(), token.to_owned()), started);
                }
            }
            "CreateService" => {
                let name = input["serviceName"].as_str().unwrap_or_default().to_owned();
                let strategy = input["capacityProviderStrategy"].clone();
                let made = Deployed { active: true, input: input.clone(), answer: reply.clone(), strategy };
                self.services.insert((ecs::cluster(input).to_owned(), name), made);
            }
            "UpdateService" => {
                if let Some(service) = self.services.get_mut(&ecs::service(input))
                    && let Some(strategy) = input.get("capacityProviderStrategy")
                {
                    service.strategy = strategy.clone();
                }
            }
            "DeleteService" => {
                if let Some(service) = self.services.get_mut(&ecs::service(input)) {
                    service.active = false;
                }
            }
            _ => {}
        }
    }

    fn record_definition(&mut self, made: &Value) {
        let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
        let containers = made["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let container = |one: &Value| {
            let ports = one["portMappings"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ports = ports.iter().filter_map(|port| port["containerPort"].as_u64()).collect();
            (one["name"].as_str().unwrap_or_default().to_owned(), ports)
        };
        let definition = Definition {
            active: true,
            name: format!("{}:{}", text("family"), made["revision"]),
            containers: containers.iter().map(container).collect(),
            awsvpc: made["networkMode"] == "awsvpc",
        };
        self.definitions.insert(text("taskDefinitionArn"), definition);
    }

    fn record_elb(&mut self, operation: &str, form: &Form, reply: &Reply) {
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        let made = || Made { name: text("Name"), form: form.clone(), answer: reply.clone() };
        match operation {
            "CreateLoadBalancer" => drop(self.balancers.insert(reply.element("LoadBalancerArn"), made())),
            "DeleteLoadBalancer" => {
                let arn = text("LoadBalancerArn");
                self.balancers.remove(&arn);
                self.listeners.retain(|_, listener| listener.balancer != arn);
                let listeners: BTreeSet<&String> = self.listeners.keys().collect();
                self.rules.retain(|_, rule| listeners.contains(&rule.listener));
            }
            "CreateTargetGroup" => drop(self.target_groups.insert(reply.element("TargetGroupArn"), made())),
            "DeleteTargetGroup" => drop(self.target_groups.remove(&text("TargetGroupArn"))),
            "CreateListener" => {
                let arn = reply.element("ListenerArn");
                let rule = Rule {
                    listener: arn.clone(),
                    priority: "default".to_owned(),
                    target_groups: elb::targets(form, "DefaultActions"),
                };
                self.rules.insert(format!("{arn}/default"), rule);
                self.listeners.insert(arn, Listener { balancer: text("LoadBalancerArn"), port: text("Port") });
            }
            "DeleteListener" => {
                let arn = text("ListenerArn");
                self.listeners.remove(&arn);
                self.rules.retain(|_, rule| rule.listener != arn);
            }
            "CreateRule" => {
                let target_groups = elb::targets(form, "Actions");
                let rule = Rule { listener: text("ListenerArn"), priority: text("Priority"), target_groups };
                self.rules.insert(reply.element("RuleArn"), rule);
            }
            "DeleteRule" => drop(self.rules.remove(&text("RuleArn"))),
            _ => {}
        }
    }

    /// By ARN, by `family:revision`, or the newest of a family that is active.
    pub fn definition(&self, name: &str) -> Option<&Definition> {
        if let Some(found) = self.definitions.get(name) {
            return Some(found);
        }
        let revision = |one: &Definition| one.name.rsplit(':').next().and_then(|number| number.parse::<u64>().ok());
        let mut all = self.definitions.values();
        match name.contains(':') {
            true => all.find(|one| one.name == name),
            false => {
                let of_family =
                    all.filter(|one| one.active && one.name.rsplit_once(':').is_some_and(|(f, _)| f == name));
                of_family.max_by_key(|one| revision(one))
            }
        }
    }

    /// Services whose tasks are in a security group.
    pub fn members_of(&self, group: &str) -> usize {
        let lists = |service: &&Deployed| {
            let groups = &service.input["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"];
            groups.as_array().is_some_and(|all| all.iter().any(|one| one == group))
        };
        let services = self.services.values().filter(|service| service.active).filter(lists).count();
        let balancers = self.balancers.values().filter(|one| members(&one.form, "SecurityGroups").contains(&group));
        services + balancers.count()
    }
}

/// The name at the end of an ARN, or the name itself.
pub fn tail(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub fn legal_name(text: &str) -> bool {
    fargate::name(text)
}
