//! The engine itself: what the server calls, and the tasks that work for it.
//!
//! The server calls it through `tapit_engine::Engine`; what it reads was published before, so no call of the server's loop
//! waits for AWS. `actor` looks after one app, `adopt` finds what an earlier server has left, `teardown` removes all. What
//! is to be done is decided in `plan`, what is seen in `sight`; nothing here decides either.

mod acting;
mod actor;
mod adopt;
mod carry;
pub mod clock;
mod images;
mod interrupt;
mod locations;
mod looking;
pub mod pace;
mod recover;
mod rests;
mod seeing;
mod shared;
mod teardown;
mod tell;
pub mod words;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tapit_engine::{
    Applied, Capacity, Engine, EngineError, ExecRequest, ExecSession, Images, LogPart, LogReading, Prepared,
};
use tapit_model::{
    AppName, EngineKind, ImageRef, InstanceId, InstanceKey, PinnedImage, ProcessKey, ProcessObserved, ProcessTarget,
    Usage, UsageOf,
};
use tokio::time::timeout;

use crate::account::{Account, AccountConfig};
use crate::api::SharedApi;
use crate::books::{Books, BooksError};
use crate::logs::{self, Readings};
use crate::names::Install;
use crate::settings::EcsSettings;
use clock::Clock;
use pace::Pace;
pub(crate) use shared::Shared;
use shared::SharedParts;

/// How long the tasks may take to come to an end; each is in the middle of a call at most.
const CLOSING: Duration = Duration::from_secs(10);
/// Rules that a listener may have, unless AWS was asked for more.
const RULES_QUOTA: usize = 100;
const RULES_FEW_LEFT: usize = 10;

/// What the engine needs of images.
#[async_trait]
pub trait TaskImages: Send + Sync {
    /// What a name stands for at present.
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError>;

    /// Where ECS finds it. An image that only this server has is sent to the app's repository, which takes its time.
    async fn location(&self, image: &PinnedImage, app: &AppName) -> Result<String, EngineError>;

    /// The app's repository was removed.
    fn forget_app(&self, app: &AppName);

    /// The images held here.
    fn local(&self) -> &dyn Images;
}

/// How to open the engine.
pub struct EcsConfig {
    pub data_dir: PathBuf,
    /// The same that the images were opened with.
    pub install: Install,
    pub settings: EcsSettings,
    /// Paced and counted already.
    pub api: SharedApi,
    pub region: String,
    pub images: Arc<dyn TaskImages>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
}

pub struct Ecs {
    shared: Arc<Shared>,
    readings: Readings,
}

impl Ecs {
    /// Reads what was written down. Nothing is asked of AWS or changed there before `adopt`.
    pub async fn open(config: EcsConfig) -> Result<Arc<Self>, EngineError> {
        let opened = crate::account::off_thread(move || open(config)).await;
        let shared = opened.map_err(|error| EngineError::act("opening the ECS engine", error))?;
        Ok(Arc::new(Self { shared: Arc::new(shared), readings: Readings::default() }))
    }
}

fn open(config: EcsConfig) -> Result<Shared, BooksError> {
    let EcsConfig { data_dir, install, settings, api, region, images, clock, pace } = config;
    let books = Arc::new(Books::open(&data_dir)?);
    let account = Account::open(AccountConfig {
        install: install.clone(),
        settings: settings.clone(),
        region: region.clone(),
        api: Arc::clone(&api),
        clock: Arc::clone(&clock),
        pace,
        books: Arc::clone(&books),
    })?;
    Ok(Shared::new(SharedParts { install, settings, region, api, images, clock, pace, books, account }))
}

#[async_trait]
impl Engine for Ecs {
    fn name(&self) -> &'static str {
        "ecs"
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Ecs
    }

    fn url(&self, app: &AppName) -> Option<String> {
        let hosts = self.shared.state().apps.get(app).map(|app| app.hosts.clone())?;
        self.shared.account.url(&hosts)
    }

    async fn adopt(&self, targets: Vec<ProcessTarget>) -> Result<(), EngineError> {
        adopt::adopt(&self.shared, targets).await
    }

    async fn apply(&self, target: ProcessTarget) -> Result<Applied, EngineError> {
        Ok(self.shared.take(target))
    }

    async fn observe(&self) -> Result<Vec<ProcessObserved>, EngineError> {
        Ok(self.shared.observe())
    }

    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        self.shared.images.prepare(image).await
    }

    async fn interrupt(&self, process: &ProcessKey, count: u32) -> Result<Vec<InstanceId>, EngineError> {
        interrupt::interrupt(&self.shared, process, count).await
    }

    /// Without Container Insights, which cost extra, ECS does not tell.
    async fn usage(&self, _of: &UsageOf) -> Result<Vec<(InstanceKey, Usage)>, EngineError> {
        Ok(Vec::new())
    }

    async fn log_tail(&self, instance: &InstanceKey, lines: usize) -> Result<Vec<String>, EngineError> {
        let part = LogPart::Last { lines, since: None };
        let reading = self.logs(instance, &part).await?;
        Ok(reading.lines.into_iter().map(|line| line.text).collect())
    }

    async fn logs(&self, instance: &InstanceKey, part: &LogPart) -> Result<LogReading, EngineError> {
        let process = self.shared.process_of(instance)?;
        self.readings.read(&self.shared, (&process, instance), part).await
    }

    fn log_lag(&self) -> Duration {
        logs::LAG
    }

    async fn exec(&self, instance: &InstanceKey, _request: ExecRequest) -> Result<ExecSession, EngineError> {
        self.shared.process_of(instance)?;
        Err(EngineError::Unsupported {
            what: "running a command in an instance",
            why: "on ECS it takes AWS's session manager: use aws ecs execute-command, or run the command as a process",
        })
    }

    fn capacity(&self) -> Option<Capacity> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        let balancer = self.shared.account.known().and_then(|account| account.balancer);
        let plain = balancer.filter(|balancer| balancer.port == 80).map(|_| {
            "the load balancer speaks HTTP without encryption; give a listener with a certificate with --ecs-listener"
                .to_owned()
        });
        let rules = self.shared.state().apps.values().filter(|app| !app.hosts.is_empty()).count();
        let full = (rules + RULES_FEW_LEFT >= RULES_QUOTA).then(|| {
            format!(
                "{rules} apps have a rule on the load balancer, and AWS lets a listener have {RULES_QUOTA} unless the \
                 quota was raised"
            )
        });
        plain.into_iter().chain(full).collect()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.watch()
    }

    fn nudge(&self) {
        self.shared.nudge();
    }

    fn images(&self) -> &dyn Images {
        self.shared.images.local()
    }

    async fn close(&self) {
        self.shared.state().closing = true;
        self.shared.nudge();
        let mut tasks = {
            let mut held = self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(CLOSING, ended).await.is_err() {
            // Whatever they are at can be cut anywhere; it is only nicer not to.
            tasks.shutdown().await;
        }
    }

    async fn teardown(&self) -> Result<(), EngineError> {
        teardown::teardown(&self.shared).await
    }
}
