//! The settings of the ECS engine, judged as far as that can be done without asking AWS.

use tapit_ecs::EcsSettings;
use tapit_model::Refusal;

use super::{ASSIGN_PUBLIC_IP, DOMAIN, EXECUTION_ROLE, EcsArgs, LISTENER, REGION, SECURITY_GROUPS, SUBNETS, TASK_ROLE};

/// As many subnets as a service takes.
const SUBNETS_MAX: usize = 16;
/// A service takes five; one is each app's own.
const SECURITY_GROUPS_MAX: usize = 4;

pub(super) fn settings(args: EcsArgs) -> Result<EcsSettings, Refusal> {
    Ok(EcsSettings {
        region: args.region.map(region).transpose()?,
        subnets: ids(SUBNETS, "subnet-", SUBNETS_MAX, args.subnets.as_deref())?,
        security_groups: ids(SECURITY_GROUPS, "sg-", SECURITY_GROUPS_MAX, args.security_groups.as_deref())?,
        listener: args.listener.map(listener).transpose()?,
        domain: args.domain.map(domain).transpose()?,
        execution_role: args.execution_role.map(|arn| role(EXECUTION_ROLE, arn)).transpose()?,
        task_role: args.task_role.map(|arn| role(TASK_ROLE, arn)).transpose()?,
        assign_public_ip: args.assign_public_ip.map(|text| yes_or_no(&text)).transpose()?,
    })
}

fn wrong(flag: &str, value: &str, legal: &str) -> Refusal {
    Refusal::usage(format!("{flag} {value:?} is not legal; {legal}"))
}

fn region(text: String) -> Result<String, Refusal> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(legal);
    if fits { Ok(text) } else { Err(wrong(REGION, &text, "give a region such as eu-central-1")) }
}

/// Ids with commas between them, each once.
fn ids(flag: &str, prefix: &str, most: usize, text: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut ids: Vec<String> = Vec::new();
    for id in text.split(',').map(str::trim) {
        let digits = id.strip_prefix(prefix).filter(|rest| !rest.is_empty() && rest.len() <= 64);
        if !digits.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric())) {
            return Err(wrong(flag, text, &format!("give ids with commas between them, for example {prefix}0a1b2c3d")));
        }
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    if ids.len() > most {
        return Err(wrong(flag, text, &format!("AWS takes {most} of them at most")));
    }
    Ok(ids)
}

fn listener(arn: String) -> Result<String, Refusal> {
    let example =
        "give the ARN of a listener of an application load balancer: arn:aws:elasticloadbalancing:…:listener/app/…";
    if arn.starts_with("arn:") && arn.contains(":loadbalancer/") {
        let legal = format!("that is a load balancer, and a listener of it is needed; {example}");
        return Err(wrong(LISTENER, &arn, &legal));
    }
    let fits = is_arn(&arn) && arn.contains(":listener/app/");
    if fits { Ok(arn) } else { Err(wrong(LISTENER, &arn, example)) }
}

/// As load balancers take it in a rule, behind the name of an app.
fn domain(text: String) -> Result<String, Refusal> {
    const LEGAL: &str = "give a domain of your own whose names lead to the load balancer, for example apps.example.com";
    const LONGEST: usize = 64;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let labels = || text.split('.').all(|label| !label.is_empty() && label.bytes().all(legal));
    // Rules take letters alone behind the last dot.
    let top = text.rsplit_once('.').is_some_and(|(_, last)| last.bytes().all(|b| b.is_ascii_lowercase()));
    let fits = text.len() <= LONGEST && labels() && top;
    if fits { Ok(text) } else { Err(wrong(DOMAIN, &text, LEGAL)) }
}

fn role(flag: &str, arn: String) -> Result<String, Refusal> {
    let fits = is_arn(&arn) && arn.contains(":role/");
    if fits { Ok(arn) } else { Err(wrong(flag, &arn, "give the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME")) }
}

fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.len() <= 2048 && text.bytes().all(|b| (0x21..0x7f).contains(&b))
}

fn yes_or_no(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(wrong(ASSIGN_PUBLIC_IP, other, "give true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER_ARN: &str =
        "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/web/50dc6c49/f2f7dc8e";

    #[track_caller]
    fn refused(args: EcsArgs, parts: &[&str]) {
        let text = settings(args).expect_err(parts[0]).message;
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_not_given_is_left_to_be_found_or_made() {
        assert_eq!(settings(EcsArgs::default()), Ok(EcsSettings::default()));
    }

    #[test]
    fn everything_can_be_given() {
        let given = EcsArgs {
            region: some("us-gov-west-1"),
            subnets: some("subnet-0a, subnet-1b,subnet-0a"),
            security_groups: some("sg-7"),
            listener: some(LISTENER_ARN),
            domain: some("apps.example.com"),
            execution_role: some("arn:aws:iam::123456789012:role/run"),
            task_role: some("arn:aws:iam::123456789012:role/path/be"),
            assign_public_ip: some("false"),
        };
        let settings = settings(given).expect("legal");
        assert_eq!(settings.subnets, ["subnet-0a", "subnet-1b"]);
        assert_eq!((settings.security_groups, settings.assign_public_ip), (vec!["sg-7".to_owned()], Some(false)));
        assert_eq!(settings.domain, some("apps.example.com"));
        assert_eq!((settings.listener, settings.region), (some(LISTENER_ARN), some("us-gov-west-1")));
        assert_eq!(settings.task_role, some("arn:aws:iam::123456789012:role/path/be"));
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_is_legal() {
        let args = EcsArgs::default;
        for bad in ["", "EU", "eu central", "eu-central-1;"] {
            refused(EcsArgs { region: some(bad), ..args() }, &["--ecs-region", "eu-central-1"]);
        }
        for bad in ["", "subnet-", "sg-1", "subnet-1,,subnet-2", "subnet-1 subnet-2", "subnet-$(id)"] {
            refused(EcsArgs { subnets: some(bad), ..args() }, &["--ecs-subnets", "subnet-0a1b2c3d"]);
        }
        let five = "sg-1,sg-2,sg-3,sg-4,sg-5";
        refused(EcsArgs { security_groups: some(five), ..args() }, &["--ecs-security-groups", "4 of them at most"]);
        let balancer = LISTENER_ARN.replace(":listener/", ":loadbalancer/");
        refused(EcsArgs { listener: some(&balancer), ..args() }, &["that is a load balancer", "listener/app"]);
        refused(EcsArgs { listener: some("web"), ..args() }, &["--ecs-listener \"web\"", "ARN of a listener"]);
        for bad in
            ["", "com", "*.example.com", "example.*", "Example.com", "a..com", "example.c0m", "https://example.com"]
        {
            refused(EcsArgs { domain: some(bad), ..args() }, &["--ecs-domain", "apps.example.com"]);
        }
        refused(EcsArgs { execution_role: some("run"), ..args() }, &["--ecs-execution-role", "role/NAME"]);
        refused(EcsArgs { task_role: some("arn:aws:iam::1:user/me"), ..args() }, &["--ecs-task-role", "role/NAME"]);
        refused(EcsArgs { assign_public_ip: some("yes"), ..args() }, &["--ecs-assign-public-ip", "true or false"]);
    }
}
