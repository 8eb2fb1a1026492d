//! Task definitions: families of revisions that are never changed and never used again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tapit_model::{CpuMillis, MemoryMib, Size};
use tapit_plan::fargate;

use super::names;
use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::{Answer, NewTaskDefinition, TaskDefinition};

#[derive(Debug, Clone, Default)]
pub(super) struct Family {
    last: u32,
    pub revisions: BTreeMap<u32, Revision>,
}

#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub registered: Arc<Registered>,
    pub active: bool,
}

#[derive(Debug)]
pub(super) struct Registered {
    pub arn: String,
    pub new: NewTaskDefinition,
}

impl Registered {
    /// `FAMILY:REVISION`
    pub fn short(&self) -> &str {
        crate::names::short(&self.arn)
    }
}

impl World {
    pub fn register_task_definition(&mut self, new: &NewTaskDefinition) -> Answered {
        check(new)?;
        let revision = self.families.get(&new.family).map_or(0, |family| family.last) + 1;
        let arn = self.arn("ecs", &format!("task-definition/{}:{revision}", new.family));
        let registered = Arc::new(Registered { arn, new: new.clone() });
        let revision_now = Revision { registered, active: true };
        let view = view(&revision_now);
        let family = self.families.entry(new.family.clone()).or_default();
        family.last = revision;
        family.revisions.insert(revision, revision_now);
        Ok(Answer::TaskDefinition(Box::new(view)))
    }

    pub fn describe_task_definition(&self, name: &str) -> Answered {
        let unknown = || Refusal::not_found("ClientException", "Unable to describe task definition.");
        let short = crate::names::short(name);
        let found = match short.contains(':') {
            true => self.revision(name),
            false => self.families.get(short).and_then(|f| f.revisions.values().rev().find(|one| one.active)),
        };
        found.map(|found| Answer::TaskDefinition(Box::new(view(found)))).ok_or_else(unknown)
    }

    pub fn list_task_definitions(&self, family: &str, next: Option<&String>) -> Answered {
        let revisions = self.families.get(family).into_iter().flat_map(|family| family.revisions.values().rev());
        let arns = revisions.filter(|one| one.active).map(|one| one.registered.arn.clone()).collect();
        let (names, next) = names::page(arns, next)?;
        Ok(Answer::Names { names, next })
    }

    pub fn deregister_task_definition(&mut self, arn: &str) -> Answered {
        let unknown = || Refusal::client("The specified task definition does not exist.");
        let (family, revision) = family_and_revision(arn).ok_or_else(unknown)?;
        let found = self.families.get_mut(family).and_then(|family| family.revisions.get_mut(&revision));
        let found = found.ok_or_else(unknown)?;
        if !found.active {
            return Err(Refusal::client("The specified task definition is inactive."));
        }
        found.active = false;
        Ok(Answer::Done)
    }

    fn revision(&self, name: &str) -> Option<&Revision> {
        let (family, revision) = family_and_revision(name)?;
        self.families.get(family)?.revisions.get(&revision)
    }

    /// What a service may be told to run.
    pub fn runnable(&self, name: &str) -> Result<Arc<Registered>, Refusal> {
        let found = self.revision(name).ok_or_else(|| Refusal::client("TaskDefinition not found."))?;
        if !found.active {
            return Err(Refusal::client("TaskDefinition is inactive"));
        }
        Ok(Arc::clone(&found.registered))
    }
}

/// Of an ARN, or of `FAMILY:REVISION`.
fn family_and_revision(name: &str) -> Option<(&str, u32)> {
    let (family, revision) = crate::names::short(name).rsplit_once(':')?;
    Some((family, revision.parse().ok()?))
}

fn view(revision: &Revision) -> TaskDefinition {
    let Registered { arn, new } = &*revision.registered;
    let labels = new.container.labels.clone();
    TaskDefinition { arn: arn.clone(), family: new.family.clone(), labels, active: revision.active }
}

fn check(new: &NewTaskDefinition) -> Result<(), Refusal> {
    names::ecs("Family", &new.family)?;
    names::ecs("Container name", &new.container.name)?;
    check_size(new)?;
    let container = &new.container;
    if container.image.is_empty() {
        return Err(Refusal::client("Container.image should not be null or empty."));
    }
    if !(2..=120).contains(&container.stop_timeout) {
        return Err(Refusal::client(format_args!("Invalid stop timeout {}: 2 to 120 seconds", container.stop_timeout)));
    }
    if container.cap_add.iter().any(|capability| capability != "SYS_PTRACE") {
        return Err(Refusal::client("Fargate only supports adding the SYS_PTRACE kernel capability."));
    }
    if new.execution_role.is_none() {
        return Err(Refusal::client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ));
    }
    if new.tags.len() > 50 {
        return Err(Refusal::invalid("A resource can have at most 50 tags."));
    }
    Ok(())
}

fn check_size(new: &NewTaskDefinition) -> Result<(), Refusal> {
    // Back to the units of the table; an amount that is not whole there is none of it.
    let millis = u64::from(new.cpu) * 1000 / 1024;
    let size = Size { cpu: CpuMillis::from_millis(millis), memory: MemoryMib::from_mib(new.memory_mib) };
    match fargate::fit(size) {
        fargate::Fit::Exact(size) if size.cpu_units == new.cpu => Ok(()),
        fargate::Fit::Exact(_) | fargate::Fit::Nearest { .. } => {
            let (cpu, memory) = (new.cpu, new.memory_mib);
            Err(Refusal::client(format_args!(
                "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
            )))
        }
    }
}
