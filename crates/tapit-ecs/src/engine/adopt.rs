//! Takes over what an earlier server has left: in the files at once, in the account as soon as AWS answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tapit_engine::EngineError;
use tapit_model::{AppName, Presence, ProcessKey, ProcessName, ProcessTarget, Restart};
use tokio::time::sleep;

use super::looking::TASKS_AT_ONCE;
use super::pace::back_off;
use super::shared::{Call, Shared};
use super::tell;
use crate::account::off_thread;
use crate::api::{ApiError, ApiFault, DesiredStatus, Request};
use crate::books::BooksError;
use crate::look::Look;
use crate::names;
use crate::record::{AppRecord, Made};

/// Of 100 clusters, services or tasks each.
const PAGES_AT_MOST: usize = 100;

pub async fn adopt(shared: &Arc<Shared>, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
    let records =
        read(shared).await.map_err(|error| EngineError::act("reading what an earlier server has left", error))?;
    let look = Look { at: shared.clock.timestamp(), moment: shared.clock.moment(), ..Look::default() };
    let nothing = Default::default();
    for target in &targets {
        let process = records.get(&target.key.app).and_then(|record| record.processes.get(&target.key.process));
        let seen = tell::from_record(target, process.unwrap_or(&nothing), &look);
        let mut state = shared.state();
        let app = state.apps.entry(target.key.app.clone()).or_default();
        if process.is_none() && runs_once(target) {
            app.unsure.insert(target.key.process.clone());
        }
        app.seen.insert(target.key.process.clone(), seen);
        app.targets.insert(target.key.process.clone(), target.clone());
    }
    for (app, record) in &records {
        let mut state = shared.state();
        state.apps.entry(app.clone()).or_default().hosts.clone_from(&record.target.hosts);
        drop(state);
        for process in record.processes.keys() {
            shared.disown(ProcessKey::new(app, process));
        }
    }
    let apps: Vec<AppName> = {
        let mut state = shared.state();
        state.adopted = true;
        state.apps.keys().cloned().collect()
    };
    for app in apps {
        shared.start(&app);
    }
    shared.changed();
    let known = records.into_iter().filter(|(_, record)| record.cluster == Made::Yes).map(|(app, _)| app).collect();
    shared.spawn(search(Arc::clone(shared), known));
    Ok(())
}

fn runs_once(target: &ProcessTarget) -> bool {
    match &target.presence {
        Presence::Present(formation) => formation.restart == Restart::Never,
        Presence::Absent(_) => false,
    }
}

async fn read(shared: &Shared) -> Result<BTreeMap<AppName, AppRecord>, BooksError> {
    let books = Arc::clone(&shared.books);
    off_thread(move || {
        let mut records = BTreeMap::new();
        for app in books.apps()? {
            if let Some(record) = books.read_app(&app)? {
                records.insert(app, record);
            }
        }
        Ok(records)
    })
    .await
}

/// Looks for clusters of this server that no file tells of, until AWS has answered.
async fn search(shared: Arc<Shared>, known: BTreeSet<AppName>) {
    let mut failures = 0;
    while let Err(error) = strays(&shared, &known).await {
        failures += 1;
        tracing::warn!(%error, failures, "looking for what an earlier server has left");
        sleep(back_off(failures)).await;
        if shared.state().closing {
            return;
        }
    }
    shared.state().searched = true;
    shared.changed();
}

async fn strays(shared: &Arc<Shared>, known: &BTreeSet<AppName>) -> Result<(), ApiError> {
    let clusters = pages(shared, |next| Request::ListClusters { next }).await?;
    let apps = clusters.iter().filter_map(|cluster| shared.install.app_of_cluster(names::short(cluster)));
    for app in apps.filter(|app| !known.contains(app)).collect::<BTreeSet<_>>() {
        let cluster = shared.install.cluster(&app);
        let services = match pages(shared, |next| Request::ListServices { cluster: cluster.clone(), next }).await {
            // It is on its way out.
            Err(error) if error.fault == ApiFault::NotFound => continue,
            services => services?,
        };
        let tasks = tasks(shared, &cluster).await?;
        enter(shared, &app, services, tasks);
    }
    Ok(())
}

/// Processes that run once and of which a task runs.
async fn tasks(shared: &Shared, cluster: &str) -> Result<BTreeSet<ProcessName>, ApiError> {
    let desired = DesiredStatus::Running;
    let list = |next| Request::ListTasks { cluster: cluster.to_owned(), desired, next };
    let arns = pages(shared, list).await?;
    let mut processes = BTreeSet::new();
    for some in arns.chunks(TASKS_AT_ONCE) {
        let request = Request::DescribeTasks { cluster: cluster.to_owned(), tasks: some.to_vec() };
        let operation = request.operation();
        let tasks = shared.api.call(request).await?.tasks(operation)?;
        processes.extend(tasks.iter().filter_map(|task| names::process_of_group(&task.group)));
    }
    Ok(processes)
}

fn enter(shared: &Arc<Shared>, app: &AppName, services: Vec<String>, tasks: BTreeSet<ProcessName>) {
    shared.tend(app);
    let found: BTreeSet<String> = services.iter().map(|service| names::short(service).to_owned()).collect();
    if let Some(app) = shared.state().apps.get_mut(app) {
        app.found.extend(found.iter().cloned());
    }
    let of_services = found.iter().filter_map(|service| names::process_of_service(service));
    for process in of_services.map(|(process, _)| process).chain(tasks) {
        shared.disown(ProcessKey::new(app, &process));
    }
    shared.call(app, Call::Look);
}

async fn pages(shared: &Shared, request: impl Fn(Option<String>) -> Request) -> Result<Vec<String>, ApiError> {
    let mut all = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_AT_MOST {
        let request = request(next);
        let operation = request.operation();
        let (page, more) = shared.api.call(request).await?.names(operation)?;
        all.extend(page);
        next = more;
        if next.is_none() {
            break;
        }
    }
    Ok(all)
}
