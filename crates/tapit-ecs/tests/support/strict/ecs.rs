//! What ECS refuses and the emulator lets through.

use serde_json::Value;

use super::call::Refusal;
use super::fargate;
use super::ledger::{Ledger, Verdict, legal_name, tail};

type Checked = Result<(), Refusal>;

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

pub fn cluster(input: &Value) -> &str {
    tail(input["cluster"].as_str().unwrap_or("default"))
}

/// Cluster and name.
pub fn service(input: &Value) -> (String, String) {
    (cluster(input).to_owned(), tail(input["service"].as_str().unwrap_or_default()).to_owned())
}

fn length(input: &Value, key: &str) -> usize {
    input[key].as_array().map_or(0, Vec::len)
}

pub fn judge(ledger: &Ledger, operation: &str, input: &Value) -> Result<Verdict, Refusal> {
    let in_cluster = !matches!(operation, "CreateCluster" | "DescribeClusters" | "ListClusters");
    if in_cluster && input.get("cluster").is_some() && !ledger.clusters.contains_key(cluster(input)) {
        return Err(Refusal::new("ClusterNotFoundException", "Cluster not found."));
    }
    match operation {
        "CreateCluster" if !legal_name(input["clusterName"].as_str().unwrap_or("default")) => {
            Err(invalid("Cluster name contains invalid characters or is longer than 255."))
        }
        "RegisterTaskDefinition" => fargate::check(input).map(|()| Verdict::Forward),
        "CreateService" => create_service(ledger, input),
        "UpdateService" => update_service(ledger, input).map(|()| Verdict::Forward),
        "DeleteService" => known(ledger, input).map(|()| Verdict::Forward),
        "DescribeServices" => at_most(input, "services", 10),
        "DescribeTasks" => at_most(input, "tasks", 100),
        "RunTask" => run_task(ledger, input),
        "ListTasks" | "ListServices" if input["maxResults"].as_u64().is_some_and(|most| !(1..=100).contains(&most)) => {
            Err(invalid("maxResults must be between 1 and 100."))
        }
        "DeleteCluster" => {
            let cluster = cluster(input);
            let holds = ledger.services.iter().any(|((of, _), service)| of == cluster && service.active);
            let text = "The Cluster cannot be deleted while Services are active.";
            if holds { Err(Refusal::new("ClusterContainsServicesException", text)) } else { Ok(Verdict::Forward) }
        }
        _ => Ok(Verdict::Forward),
    }
}

fn at_most(input: &Value, key: &str, most: usize) -> Result<Verdict, Refusal> {
    match length(input, key) {
        0 => Err(invalid(format!("{key} can not be empty."))),
        n if n > most => Err(invalid(format!("{key} can have at most {most} items, not {n}."))),
        _ => Ok(Verdict::Forward),
    }
}

fn known(ledger: &Ledger, input: &Value) -> Checked {
    let found = ledger.services.contains_key(&service(input));
    if found { Ok(()) } else { Err(Refusal::new("ServiceNotFoundException", "Service not found.")) }
}

fn create_service(ledger: &Ledger, input: &Value) -> Result<Verdict, Refusal> {
    let name = input["serviceName"].as_str().unwrap_or_default();
    if !legal_name(name) {
        return Err(invalid("Service name contains invalid characters or is longer than 255."));
    }
    let token = input["clientToken"].as_str();
    if token.is_some_and(|token| token.len() > 36) {
        return Err(invalid("Client token can be at most 36 characters long."));
    }
    if let Some(there) = ledger.services.get(&(cluster(input).to_owned(), name.to_owned())).filter(|one| one.active) {
        return match token.is_some() && there.input == *input {
            true => Ok(Verdict::Replay(there.answer.clone())),
            false => Err(invalid("Creation of service was not idempotent.")),
        };
    }
    if input.get("launchType").is_some_and(|kind| !kind.is_null()) && length(input, "capacityProviderStrategy") > 0 {
        return Err(invalid("Specifying both a launch type and capacity provider strategy is not supported."));
    }
    strategy(ledger, input)?;
    let definition = input["taskDefinition"].as_str().unwrap_or_default();
    definition_and_network(ledger, definition, Some(&input["networkConfiguration"]))?;
    targets(ledger, definition, input)?;
    Ok(Verdict::Forward)
}

fn update_service(ledger: &Ledger, input: &Value) -> Checked {
    known(ledger, input)?;
    let Some(there) = ledger.services.get(&service(input)) else { return Ok(()) };
    if !there.active {
        return Err(Refusal::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let changes = input.get("capacityProviderStrategy").is_some_and(|strategy| *strategy != there.strategy);
    if changes && input["forceNewDeployment"] != true {
        return Err(invalid(
            "When making a change to a capacity provider strategy on a service, you must force a new deployment.",
        ));
    }
    strategy(ledger, input)?;
    let definition = input["taskDefinition"].as_str();
    if let Some(definition) = definition {
        definition_and_network(ledger, definition, input.get("networkConfiguration"))?;
    }
    let current = there.input["taskDefinition"].as_str().unwrap_or_default();
    targets(ledger, definition.unwrap_or(current), input)
}

/// The emulator starts another task for each call, whatever its token; what AWS does about that is done here.
fn run_task(ledger: &Ledger, input: &Value) -> Result<Verdict, Refusal> {
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    if input["count"].as_u64().is_some_and(|count| !(1..=10).contains(&count)) {
        return Err(invalid("count must be between 1 and 10."));
    }
    let token = text("clientToken");
    if token.len() > 64 || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
        return Err(invalid("Client token can be at most 64 visible characters long."));
    }
    if text("group").len() > 255 || ["service:", "family:"].iter().any(|prefix| text("group").starts_with(prefix)) {
        return Err(invalid("Invalid namespace for group."));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if text("startedBy").len() > 128 || !text("startedBy").chars().all(legal) {
        return Err(invalid("startedBy contains invalid characters or is longer than 128."));
    }
    if input.get("launchType").is_some_and(|kind| !kind.is_null()) && length(input, "capacityProviderStrategy") > 0 {
        return Err(invalid("Specifying both a launch type and capacity provider strategy is not supported."));
    }
    if let Some(run) = ledger.runs.get(&(cluster(input).to_owned(), token.to_owned())) {
        return match run.input == *input {
            true => Ok(Verdict::Replay(run.answer.clone())),
            false => {
                Err(Refusal::new("ConflictException", "The request token was used before, with other parameters."))
            }
        };
    }
    strategy(ledger, input)?;
    let definition = text("taskDefinition");
    definition_and_network(ledger, definition, Some(&input["networkConfiguration"])).map(|()| Verdict::Forward)
}

fn strategy(ledger: &Ledger, input: &Value) -> Checked {
    let items = input["capacityProviderStrategy"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |item: &Value, key: &str| item[key].as_u64().unwrap_or(0);
    let associated = ledger.clusters.get(cluster(input));
    for item in items {
        let provider = item["capacityProvider"].as_str().unwrap_or_default();
        if !associated.is_some_and(|providers| providers.contains(provider)) {
            return Err(invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster.",
            ));
        }
        if number(item, "weight") > 1000 || number(item, "base") > 100_000 {
            return Err(invalid("A weight is at most 1000, a base at most 100000."));
        }
    }
    if items.iter().filter(|item| number(item, "base") > 0).count() > 1 {
        return Err(invalid("Only one capacity provider in a capacity provider strategy can have a base defined."));
    }
    if items.len() > 20 || (!items.is_empty() && items.iter().all(|item| number(item, "weight") == 0)) {
        return Err(invalid("At least one capacity provider must have a weight greater than zero, of at most 20."));
    }
    Ok(())
}

/// `network`: `None` where the service has one already.
fn definition_and_network(ledger: &Ledger, name: &str, network: Option<&Value>) -> Checked {
    let definition = ledger.definition(name);
    let definition = definition.ok_or_else(|| Refusal::new("ClientException", "TaskDefinition not found."))?;
    if !definition.active {
        return Err(Refusal::new("ClientException", "TaskDefinition is inactive"));
    }
    let Some(network) = network.filter(|_| definition.awsvpc) else { return Ok(()) };
    let vpc = &network["awsvpcConfiguration"];
    match (length(vpc, "subnets"), length(vpc, "securityGroups")) {
        (0, _) => Err(invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")),
        (1..=16, 0..=5) => Ok(()),
        _ => Err(invalid("At most 16 subnets and 5 security groups can be specified.")),
    }
}

fn targets(ledger: &Ledger, definition: &str, input: &Value) -> Checked {
    let balancers = input["loadBalancers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if balancers.is_empty()
        && input["healthCheckGracePeriodSeconds"].as_u64().is_some_and(|grace| grace > 0)
        && input.get("serviceName").is_some()
    {
        return Err(invalid("Health check grace period is only valid for services configured to use load balancers"));
    }
    for balancer in balancers {
        let arn = balancer["targetGroupArn"].as_str().unwrap_or_default();
        let Some(group) = ledger.target_groups.get(arn) else {
            return Err(invalid(format!("The specified target group {arn} does not exist.")));
        };
        if !ledger.rules.values().any(|rule| rule.target_groups.iter().any(|one| one == arn)) {
            return Err(invalid(format!(
                "The target group with targetGroupArn {arn} does not have an associated load balancer."
            )));
        }
        if group.form.get("TargetType").is_none_or(|kind| kind != "ip") {
            return Err(invalid(
                "The provided target group has a target type that is incompatible with the awsvpc network mode.",
            ));
        }
        let container = balancer["containerName"].as_str().unwrap_or_default();
        let port = balancer["containerPort"].as_u64().unwrap_or_default();
        let ports = ledger.definition(definition).and_then(|definition| definition.containers.get(container));
        match ports {
            None => return Err(invalid(format!("The container {container} does not exist in the task definition."))),
            Some(ports) if !ports.contains(&port) => {
                return Err(invalid(format!(
                    "The container {container} did not have a container port {port} defined."
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
