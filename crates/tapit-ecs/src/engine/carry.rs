//! Carries out the deeds of a plan, a few at a time, and notes in the record and in the look what came of them.

use std::sync::Arc;

use tapit_model::ProcessName;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::shared::Shared;
use crate::api::{Answer, ApiError, ApiFault, DesiredStatus, Operation, Request, Service, ServiceStatus};
use crate::look::Look;
use crate::names;
use crate::plan::{Answered, Deed};
use crate::record::AppRecord;

/// Calls of one app at the same time.
const AT_ONCE: usize = 4;

/// A deed with the call that it means.
pub struct Order {
    pub deed: Deed,
    pub request: Request,
}

impl Order {
    pub fn errand(&self) -> (Operation, Option<ProcessName>) {
        (self.request.operation(), self.deed.process().cloned())
    }
}

/// An order that was carried out.
pub struct Carried {
    pub deed: Deed,
    pub answered: Answered,
}

/// All of them; each is made once. In the order of their answers.
pub async fn carry(shared: &Arc<Shared>, orders: Vec<Order>) -> Vec<Carried> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for Order { deed, request } in orders {
        let (shared, permits) = (Arc::clone(shared), Arc::clone(&permits));
        calls.spawn(async move {
            // Never closed, so there is always one in the end.
            let _permit = permits.acquire().await;
            let operation = request.operation();
            let result = shared.api.call(request).await;
            Carried { deed, answered: Answered { operation, result, at: shared.clock.moment() } }
        });
    }
    let mut carried = Vec::with_capacity(calls.len());
    while let Some(done) = calls.join_next().await {
        match done {
            Ok(one) => carried.push(one),
            // The next look shows what came of it.
            Err(error) => tracing::error!(%error, "a call to AWS broke off"),
        }
    }
    carried
}

/// Notes what came of it. An error is one that people may have to be told of.
pub fn settle(record: &mut AppRecord, look: &mut Look, carried: Carried) -> Result<(), ApiError> {
    let Carried { deed, answered } = carried;
    show(look, &deed, &answered.result);
    deed.fold(record, answered)
}

/// What an answer says of a service is as good as a look at it.
fn show(look: &mut Look, deed: &Deed, result: &Result<Answer, ApiError>) {
    match (deed, result) {
        (Deed::CreateService { .. } | Deed::ChangeService { .. }, Ok(Answer::Service(service))) => {
            put(look, (**service).clone());
        }
        (Deed::RunTask { .. }, Ok(Answer::Tasks(tasks))) => {
            // What AWS remembers of a token may be older than what was seen since.
            let new = tasks.iter().filter(|task| look.tasks.iter().all(|seen| seen.arn != task.arn));
            let new: Vec<_> = new.cloned().collect();
            look.tasks.extend(new);
        }
        (Deed::StopTask { arn, .. }, Ok(_)) => {
            if let Some(task) = look.tasks.iter_mut().find(|task| task.arn == *arn) {
                task.desired = DesiredStatus::Stopped;
            }
        }
        (Deed::StopTask { arn, .. }, Err(error)) if error.fault == ApiFault::NotFound => {
            look.tasks.retain(|task| task.arn != *arn);
        }
        (Deed::DeleteService { process, kind }, Ok(_)) => {
            let name = names::service(process, *kind);
            if let Some(service) = look.services.iter_mut().find(|service| service.name == name) {
                service.status = ServiceStatus::Draining;
            }
        }
        (Deed::DeleteService { process, kind } | Deed::ChangeService { process, kind, .. }, Err(error))
            if matches!(error.fault, ApiFault::NotFound | ApiFault::NotActive) =>
        {
            let name = names::service(process, *kind);
            look.services.retain(|service| service.name != name);
        }
        (_, _) => {}
    }
}

fn put(look: &mut Look, service: Service) {
    match look.services.iter_mut().find(|seen| seen.name == service.name) {
        Some(seen) => *seen = service,
        None => {
            look.services.push(service);
            look.services.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}
