//! Finds what no file tells of, before an app or a process is removed: an answer may have been lost, or a whole file.
//!
//! For an app that is wanted this is not needed: each thing is made again, and what is there then is found by its name. But
//! what runs once must not run again, so that of such a process it must be known.

use tapit_model::{AppName, InstanceKind, ProcessKey};

use super::shared::Shared;
use crate::api::{ApiError, ApiFault, Request};
use crate::record::{AppRecord, Definition, Made, Run};

const KINDS: [InstanceKind; 2] = [InstanceKind::Demand, InstanceKind::Spot];
const PAGES_AT_MOST: usize = 100;

/// What is to be removed with an app. What is taken for made without a look is something that may be deleted without
/// being there.
pub async fn app(shared: &Shared, app: &AppName, record: &mut AppRecord) -> Result<(), ApiError> {
    record.cluster = Made::Yes;
    record.log_group = Made::Yes;
    if record.security_group.is_none()
        && let Some(vpc) = shared.account.vpc().await?
    {
        let request = Request::DescribeSecurityGroup { name: shared.install.security_group(app), vpc };
        let operation = request.operation();
        record.security_group = shared.api.call(request).await?.names(operation)?.0.into_iter().next();
    }
    if record.target.group.is_none() {
        let request = Request::DescribeTargetGroup { name: shared.install.target_group(app) };
        let operation = request.operation();
        match shared.api.call(request).await {
            Ok(answer) => record.target.group = Some(answer.id(operation)?),
            Err(error) if error.fault == ApiFault::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if record.target.group.is_some()
        && record.target.rule.is_none()
        && let Some(listener) = shared.account.listener().await?
    {
        rule(shared, record, listener).await?;
    }
    Ok(())
}

/// The listener's rule that leads to the app's target group.
async fn rule(shared: &Shared, record: &mut AppRecord, listener: String) -> Result<(), ApiError> {
    let mut next = None;
    for _ in 0..PAGES_AT_MOST {
        let request = Request::DescribeRules { listener: listener.clone(), next };
        let operation = request.operation();
        let (rules, more) = match shared.api.call(request).await {
            Ok(answer) => answer.rules(operation)?,
            // The listener went, and its rules with it.
            Err(error) if error.fault == ApiFault::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let ours = rules.into_iter().find(|rule| rule.target_group == record.target.group);
        if let Some(rule) = ours {
            record.target.rule = Some(rule.arn);
            return Ok(());
        }
        next = more;
        if next.is_none() {
            break;
        }
    }
    Ok(())
}

/// Of a process that runs once, that an earlier server was told to run and that nothing is recorded of: whether it may have
/// run. A definition is registered before, and its first revision is known for ever, also once it was given up.
pub async fn run(shared: &Shared, key: &ProcessKey, record: &mut AppRecord) -> Result<(), ApiError> {
    let first = format!("{}:1", shared.install.family(key, InstanceKind::Demand));
    match shared.api.call(Request::DescribeTaskDefinition { name: first }).await {
        Ok(_) => {
            process(shared, key, record).await?;
            record.processes.entry(key.process.clone()).or_default().run = Some(Run::Sought);
        }
        Err(error) if error.fault == ApiFault::NotFound => {
            record.processes.entry(key.process.clone()).or_default();
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Revisions of a process that nothing is recorded of.
pub async fn process(shared: &Shared, key: &ProcessKey, record: &mut AppRecord) -> Result<(), ApiError> {
    let mut found = record.processes.get(&key.process).cloned().unwrap_or_default();
    for kind in KINDS {
        let mut next = None;
        for _ in 0..PAGES_AT_MOST {
            let request = Request::ListTaskDefinitions { family: shared.install.family(key, kind), next };
            let operation = request.operation();
            let (arns, more) = shared.api.call(request).await?.names(operation)?;
            for arn in arns {
                let unknown = Definition { kind, generation: 0, fingerprint: String::new() };
                found.definitions.entry(arn).or_insert(unknown);
            }
            next = more;
            if next.is_none() {
                break;
            }
        }
    }
    record.processes.insert(key.process.clone(), found);
    Ok(())
}
