//! What may be in a task definition for Fargate, from AWS's tables.

use serde_json::Value;

use super::call::Refusal;

/// Units of cpu, and the MiB of memory that go with them: least, most, step.
const SIZES: [(u64, u64, u64, u64); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];
/// The one gap in the table.
const NOT_A_SIZE: (u64, u64) = (256, 1536);
const STOP_TIMEOUTS: std::ops::RangeInclusive<u64> = 2..=120;

type Checked = Result<(), Refusal>;

fn client(message: impl Into<String>) -> Refusal {
    Refusal::new("ClientException", message)
}

pub fn name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=255).contains(&text.len()) && text.bytes().all(legal)
}

pub fn check(definition: &Value) -> Checked {
    if !name(definition["family"].as_str().unwrap_or_default()) {
        return Err(client("Family contains invalid characters or is longer than 255."));
    }
    let containers = definition["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let compatible = definition["requiresCompatibilities"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !compatible.iter().any(|one| one == "FARGATE") {
        return Ok(());
    }
    if definition["networkMode"] != "awsvpc" {
        return Err(client("Fargate only supports network mode 'awsvpc'."));
    }
    size(definition)?;
    containers.iter().try_for_each(|one| container(one, definition))
}

fn size(definition: &Value) -> Checked {
    let number = |key: &str| definition[key].as_str().and_then(|text| text.parse::<u64>().ok());
    let (Some(cpu), Some(memory)) = (number("cpu"), number("memory")) else {
        return Err(client("Fargate requires that 'cpu' and 'memory' be defined at the task level."));
    };
    let Some((_, least, most, step)) = SIZES.into_iter().find(|(units, ..)| *units == cpu) else {
        return Err(client("Invalid 'cpu' setting for task."));
    };
    if !(least..=most).contains(&memory) || !memory.is_multiple_of(step) || (cpu, memory) == NOT_A_SIZE {
        return Err(client(format!("No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")));
    }
    Ok(())
}

fn container(one: &Value, definition: &Value) -> Checked {
    if !name(one["name"].as_str().unwrap_or_default()) {
        return Err(client("Container.name contains invalid characters."));
    }
    let has_role = definition["executionRoleArn"].as_str().is_some_and(|arn| !arn.is_empty());
    if one["logConfiguration"]["logDriver"] == "awslogs" && !has_role {
        return Err(client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ));
    }
    if let Some(seconds) = one["stopTimeout"].as_u64()
        && !STOP_TIMEOUTS.contains(&seconds)
    {
        return Err(client(format!("Fargate requires stopTimeout to be between 2 and 120, not {seconds}.")));
    }
    let ports = one["portMappings"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports
        .iter()
        .any(|port| port["hostPort"].as_u64().is_some_and(|host| Some(host) != port["containerPort"].as_u64()))
    {
        return Err(client("When networkMode=awsvpc, the host ports and container ports in port mappings must match."));
    }
    let added = one["linuxParameters"]["capabilities"]["add"].as_array().map(Vec::as_slice).unwrap_or_default();
    if added.iter().any(|capability| capability != "SYS_PTRACE") || one["privileged"] == true {
        return Err(client("Fargate supports adding the capability SYS_PTRACE alone, and no privileged containers."));
    }
    Ok(())
}
