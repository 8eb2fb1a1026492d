//! What all apps of a server share in the account: the network they are in, the role that ECS works with, and the load
//! balancer.
//!
//! Found or made on the first need, one at a time, and written down. Each step looks first and takes what is there for
//! made, so a server that died anywhere in between goes on. The apps' tasks call it before they plan; a failure is
//! remembered for a while, so that two hundred apps do not each try again what one has just tried.

mod balancer;
mod network;
mod removal;
mod role;

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tapit_model::Moment;

use crate::api::{ApiError, ApiFault, SharedApi};
use crate::books::{Books, BooksError};
use crate::engine::clock::Clock;
use crate::engine::pace::{self, Pace};
use crate::engine::words;
use crate::names::Install;
use crate::record::{AccountRecord, Balancer};
use crate::settings::EcsSettings;

/// The record as it is written down, with the settings that it was made from: with others it is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBook {
    pub settings: EcsSettings,
    pub record: AccountRecord,
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("this account has no default VPC in {region}; name subnets with --ecs-subnets")]
    NoDefaultVpc { region: String },
    #[error("the default VPC {vpc} has no subnets; name some with --ecs-subnets")]
    NoSubnets { vpc: String },
    #[error("there are no subnets {missing} in {region}; --ecs-subnets names them")]
    UnknownSubnets { missing: String, region: String },
    #[error("the subnets of --ecs-subnets are in several VPCs ({vpcs}); name those of one")]
    SeveralVpcs { vpcs: String },
    #[error(
        "a load balancer needs public subnets in two zones, and {vpc} has them in {zones}; make one by hand and name its \
         listener with --ecs-listener"
    )]
    FewZones { vpc: String, zones: usize },
    #[error("there is no listener {arn}; --ecs-listener names it")]
    UnknownListener { arn: String },
    #[error(
        "the load balancer of the listener {listener} is in {there}, and the subnets are in {here}; both must be in one VPC"
    )]
    OtherVpc { listener: String, there: String, here: String },
    #[error("{}", words::refused(.0))]
    Call(#[from] ApiError),
    #[error("{0}")]
    Books(#[from] BooksError),
}

impl AccountError {
    fn is_news_at_once(&self) -> bool {
        match self {
            AccountError::Call(error) => words::is_news_at_once(error.fault),
            AccountError::NoDefaultVpc { .. }
            | AccountError::NoSubnets { .. }
            | AccountError::UnknownSubnets { .. }
            | AccountError::SeveralVpcs { .. }
            | AccountError::FewZones { .. }
            | AccountError::UnknownListener { .. }
            | AccountError::OtherVpc { .. }
            | AccountError::Books(_) => true,
        }
    }
}

/// Why what is shared is not there, as it was last found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountTrouble {
    pub text: String,
    /// Whether people should read of it: it does not pass by itself, or has not for a while.
    pub is_news: bool,
    /// When it makes sense to ask again.
    pub until: Moment,
    failures: u32,
}

/// Which part of what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Base,
    Balancer,
}

/// What an account is opened with.
pub struct AccountConfig {
    pub install: Install,
    pub settings: EcsSettings,
    pub region: String,
    pub api: SharedApi,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    pub books: Arc<Books>,
}

pub struct Account {
    config: AccountConfig,
    /// As it is on the disk.
    known: Mutex<Option<AccountRecord>>,
    /// Held while something is found or made.
    making: tokio::sync::Mutex<()>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    base: Option<AccountTrouble>,
    balancer: Option<AccountTrouble>,
}

impl Failures {
    fn of(&mut self, part: Part) -> &mut Option<AccountTrouble> {
        match part {
            Part::Base => &mut self.base,
            Part::Balancer => &mut self.balancer,
        }
    }
}

impl Account {
    /// Reads what was written down; it blocks on the disk.
    pub fn open(config: AccountConfig) -> Result<Self, BooksError> {
        let book = config.books.read_account()?;
        let known = book.filter(|book| book.settings == config.settings).map(|book| book.record);
        Ok(Self { config, known: Mutex::new(known), making: tokio::sync::Mutex::default(), failures: Mutex::default() })
    }

    /// As far as it is known by now. No calls.
    pub fn known(&self) -> Option<AccountRecord> {
        self.lock().clone()
    }

    /// The network and the role.
    pub async fn base(&self) -> Result<AccountRecord, AccountTrouble> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _making = self.making.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => self.resting(Part::Base, self.find_base()).await,
        }
    }

    /// The load balancer, besides.
    pub async fn balancer(&self) -> Result<AccountRecord, AccountTrouble> {
        let base = self.base().await?;
        if base.balancer.is_some() {
            return Ok(base);
        }
        let _making = self.making.lock().await;
        match self.known().filter(|known| known.balancer.is_some()) {
            Some(known) => Ok(known),
            None => self.resting(Part::Balancer, self.find_balancer(base)).await,
        }
    }

    /// Forgets failures: something has changed that may help.
    pub fn try_again(&self) {
        *self.failures() = Failures::default();
    }

    /// Where the shared load balancer answers for these hosts, as far as it is known.
    pub fn url(&self, hosts: &[String]) -> Option<String> {
        url(self.lock().as_ref()?.balancer.as_ref()?, hosts)
    }

    /// Carries out a part unless it has failed a moment ago.
    async fn resting(
        &self,
        part: Part,
        work: impl Future<Output = Result<AccountRecord, AccountError>> + Send,
    ) -> Result<AccountRecord, AccountTrouble> {
        let failed = self.failures().of(part).clone();
        if let Some(trouble) = &failed
            && self.config.clock.moment() < trouble.until
        {
            return Err(trouble.clone());
        }
        let error = match work.await {
            Ok(record) => {
                *self.failures().of(part) = None;
                return Ok(record);
            }
            Err(error) => error,
        };
        let count = failed.map_or(0, |trouble| trouble.failures).saturating_add(1);
        let trouble = AccountTrouble {
            text: error.to_string(),
            is_news: count > 1 || error.is_news_at_once(),
            until: self.config.clock.moment().plus_millis(pace::millis(pace::back_off(count))),
            failures: count,
        };
        tracing::warn!(error = %tapit_model::describe(&error), failures = count, "preparing the AWS account");
        *self.failures().of(part) = Some(trouble.clone());
        Err(trouble)
    }

    async fn find_base(&self) -> Result<AccountRecord, AccountError> {
        let network = network::find(&self.config).await?;
        let execution_role = role::ensure(&self.config).await?;
        let record = AccountRecord {
            vpc: network.vpc,
            subnets: network.subnets,
            assign_public_ip: network.assign_public_ip,
            execution_role,
            balancer: None,
        };
        self.keep(record).await
    }

    async fn find_balancer(&self, base: AccountRecord) -> Result<AccountRecord, AccountError> {
        let balancer = balancer::ensure(&self.config, &base).await?;
        self.keep(AccountRecord { balancer: Some(balancer), ..base }).await
    }

    async fn keep(&self, record: AccountRecord) -> Result<AccountRecord, AccountError> {
        let book = AccountBook { settings: self.config.settings.clone(), record: record.clone() };
        let books = Arc::clone(&self.config.books);
        off_thread(move || books.write_account(&book)).await?;
        *self.lock() = Some(record.clone());
        Ok(record)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AccountRecord>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its own name, which is known everywhere, comes before one that somebody must make known first.
fn url(balancer: &Balancer, hosts: &[String]) -> Option<String> {
    let own = hosts.iter().find(|host| balancer.dns_name.eq_ignore_ascii_case(host));
    let host = own.or(hosts.first())?;
    Some(match balancer.port {
        80 => format!("http://{host}"),
        443 => format!("https://{host}"),
        port => format!("http://{host}:{port}"),
    })
}

/// Work on the disk, away from the tasks that must not wait for it.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BooksError> + Send + 'static,
) -> Result<T, BooksError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let source = std::io::Error::other(error);
            Err(BooksError::Write { path: std::path::PathBuf::from("ecs"), source })
        }
    }
}

/// What is not there, as an answer instead of an error.
fn if_found<T>(result: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.fault == ApiFault::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
