//! A look at an app's part of the account, with as few calls as will do.
//!
//! Services are asked for each time, ten at once, and so are tasks that run alone. Other tasks are only when something has
//! changed, is under way, or was not looked at for long: a steady app costs one call for ten services.

use std::collections::BTreeSet;

use tapit_model::{AppName, Moment, Timestamp};

use super::pace;
use super::shared::Shared;
use crate::api::{ApiError, ApiFault, DesiredStatus, Request, Service, ServiceStatus, TargetHealth, Task, TaskStatus};
use crate::look::Look;
use crate::plan::is_steady;

const SERVICES_AT_ONCE: usize = 10;
pub const TASKS_AT_ONCE: usize = 100;
/// Of 100 tasks each: more than a cluster may have.
const PAGES_AT_MOST: usize = 200;

/// What there is to look at.
pub struct Sought<'a> {
    pub app: &'a AppName,
    /// Names of services.
    pub services: BTreeSet<String>,
    /// ARNs of tasks that are not known to have stopped.
    pub tasks: Vec<String>,
    /// Those of them that no service tells of.
    pub alone: Vec<String>,
    /// Whether tasks may be there that neither a service nor a file tells of.
    pub strays: Strays,
    /// The target group, where the app has one.
    pub target_group: Option<String>,
    pub stir: Stir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strays {
    None,
    Perhaps,
}

/// Whether something is known to be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stir {
    Still,
    UnderWay,
}

/// Remembers what was looked at, as far as the next look needs it.
#[derive(Debug, Default)]
pub struct Eyes {
    /// When tasks were looked at last.
    whole_at: Option<Moment>,
    /// Stopped tasks that were described, as long as they are listed.
    told: BTreeSet<String>,
}

impl Eyes {
    /// The next look sees everything.
    pub fn widen(&mut self) {
        self.whole_at = None;
    }

    /// Whether anything was looked at yet, or since everything was to be seen again.
    pub fn have_looked(&self) -> bool {
        self.whole_at.is_some()
    }

    pub async fn look(&mut self, shared: &Shared, sought: &Sought<'_>, last: &Look) -> Result<Look, ApiError> {
        let (at, moment) = (shared.clock.timestamp(), shared.clock.moment());
        let services = services(shared, sought).await?;
        let stirs = sought.stir == Stir::UnderWay
            || self.whole_at.is_none()
            || !services.iter().filter(|service| service.status != ServiceStatus::Inactive).all(is_steady)
            || !services.iter().all(|service| agrees(service, &last.tasks))
            || !is_same(&services, &last.services);
        let overdue = self.whole_at.is_none_or(|then| moment.since(then) >= pace::millis(shared.pace.whole));
        if !stirs && !overdue {
            let tasks = self.alone(shared, sought, last).await?;
            return Ok(Look { at, moment, services, tasks, targets: last.targets.clone() });
        }
        let tasks = match services.as_slice() {
            // Without a service nothing runs that is not known.
            [] if sought.tasks.is_empty() && sought.strays == Strays::None => Vec::new(),
            _ => self.tasks(shared, sought, if stirs { Stir::UnderWay } else { Stir::Still }).await?,
        };
        let targets = targets(shared, sought, &tasks).await?;
        self.whole_at = Some(moment);
        let stopped = tasks.iter().filter(|task| task.status == TaskStatus::Stopped);
        self.told.extend(stopped.map(|task| task.arn.clone()));
        Ok(Look { at, moment, services, tasks, targets })
    }

    async fn tasks(&mut self, shared: &Shared, sought: &Sought<'_>, stir: Stir) -> Result<Vec<Task>, ApiError> {
        let mut arns: BTreeSet<String> = list(shared, sought.app, DesiredStatus::Running).await?;
        arns.extend(sought.tasks.iter().cloned());
        if stir == Stir::UnderWay {
            let stopped = list(shared, sought.app, DesiredStatus::Stopped).await?;
            self.told.retain(|arn| stopped.contains(arn));
            arns.extend(stopped.into_iter().filter(|arn| !self.told.contains(arn)));
        }
        describe(shared, sought.app, &arns.into_iter().collect::<Vec<_>>()).await
    }

    /// The tasks of the last look, in which those are seen anew whose end no service would show.
    async fn alone(&mut self, shared: &Shared, sought: &Sought<'_>, last: &Look) -> Result<Vec<Task>, ApiError> {
        let seen = describe(shared, sought.app, &sought.alone).await?;
        let others = last.tasks.iter().filter(|task| !sought.alone.contains(&task.arn)).cloned();
        let stopped = seen.iter().filter(|task| task.status == TaskStatus::Stopped);
        self.told.extend(stopped.map(|task| task.arn.clone()));
        Ok(others.chain(seen.iter().cloned()).collect())
    }
}

async fn describe(shared: &Shared, app: &AppName, arns: &[String]) -> Result<Vec<Task>, ApiError> {
    let mut tasks = Vec::with_capacity(arns.len());
    for some in arns.chunks(TASKS_AT_ONCE) {
        let request = Request::DescribeTasks { cluster: shared.install.cluster(app), tasks: some.to_vec() };
        let operation = request.operation();
        tasks.extend(shared.api.call(request).await?.tasks(operation)?);
    }
    Ok(tasks)
}

async fn services(shared: &Shared, sought: &Sought<'_>) -> Result<Vec<Service>, ApiError> {
    let names: Vec<String> = sought.services.iter().cloned().collect();
    let mut services = Vec::with_capacity(names.len());
    for some in names.chunks(SERVICES_AT_ONCE) {
        let request =
            Request::DescribeServices { cluster: shared.install.cluster(sought.app), services: some.to_vec() };
        let operation = request.operation();
        services.extend(shared.api.call(request).await?.services(operation)?);
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(services)
}

async fn list(shared: &Shared, app: &AppName, desired: DesiredStatus) -> Result<BTreeSet<String>, ApiError> {
    let mut arns = BTreeSet::new();
    let mut next = None;
    for _ in 0..PAGES_AT_MOST {
        let request = Request::ListTasks { cluster: shared.install.cluster(app), desired, next };
        let operation = request.operation();
        let (page, more) = shared.api.call(request).await?.names(operation)?;
        arns.extend(page);
        next = more;
        if next.is_none() {
            break;
        }
    }
    Ok(arns)
}

async fn targets(shared: &Shared, sought: &Sought<'_>, tasks: &[Task]) -> Result<Vec<TargetHealth>, ApiError> {
    let Some(arn) = &sought.target_group else { return Ok(Vec::new()) };
    if tasks.iter().all(|task| task.status == TaskStatus::Stopped) {
        return Ok(Vec::new());
    }
    let request = Request::DescribeTargetHealth { arn: arn.clone() };
    let operation = request.operation();
    match shared.api.call(request).await {
        Ok(answer) => answer.targets(operation),
        Err(error) if error.fault == ApiFault::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// So many tasks were seen as the service counts. The answer to a change may tell the new counts already, and then nothing
/// about the service changes any more.
fn agrees(service: &Service, tasks: &[Task]) -> bool {
    let of_service = |task: &&Task| task.group.strip_prefix("service:") == Some(service.name.as_str());
    let running = tasks.iter().filter(of_service).filter(|task| task.status == TaskStatus::Running).count();
    u32::try_from(running) == Ok(service.running)
}

/// Calls that the next look at services takes.
pub fn pages(look: &Look) -> usize {
    look.services.len().div_ceil(SERVICES_AT_ONCE)
}

/// Nothing has happened since: whatever does leaves an event, or changes a count or a deployment.
fn is_same(now: &[Service], before: &[Service]) -> bool {
    let newest = |service: &Service| service.events.first().map(|event| event.id.clone());
    let essence = |service: &Service| {
        (
            (service.name.clone(), service.status, newest(service)),
            (service.desired, service.running, service.pending),
            (service.task_definition.clone(), service.deployments.clone()),
        )
    };
    now.len() == before.len() && now.iter().zip(before).all(|(now, before)| essence(now) == essence(before))
}

/// Whether something new is to be seen that people or plans would want to know.
pub fn is_news(now: &Look, before: &Look) -> bool {
    let neutral = |look: &Look| Look { at: Timestamp(0), moment: Moment(0), ..look.clone() };
    neutral(now) != neutral(before)
}
