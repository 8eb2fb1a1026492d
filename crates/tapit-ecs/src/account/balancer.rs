//! The load balancer that all apps share: a given one, or one of ours.
//!
//! ```text
//! given listener ─► its balancer          ours: security group ─► from anywhere on 80 ─► balancer ─► listener
//! ```

use std::collections::BTreeMap;

use super::network::describe;
use super::{AccountConfig, AccountError, if_found};
use crate::api::{ApiFault, IngressFrom, Listener, ListenersOf, LoadBalancer, LoadBalancerBy, Request, SubnetsOf};
use crate::record::{AccountRecord, Balancer};

const PORT: u16 = 80;
/// AWS wants it in so many.
const ZONES: usize = 2;

pub(super) async fn ensure(config: &AccountConfig, base: &AccountRecord) -> Result<Balancer, AccountError> {
    match &config.settings.listener {
        Some(arn) => given(config, base, arn).await,
        None => own(config, base).await,
    }
}

async fn given(config: &AccountConfig, base: &AccountRecord, arn: &str) -> Result<Balancer, AccountError> {
    let unknown = || AccountError::UnknownListener { arn: arn.to_owned() };
    let listeners = if_found(listeners(config, ListenersOf::Arn(arn.to_owned())).await)?.unwrap_or_default();
    let listener = listeners.into_iter().next().ok_or_else(unknown)?;
    let balancer = find(config, LoadBalancerBy::Arn(listener.load_balancer.clone())).await?.ok_or_else(unknown)?;
    if balancer.vpc != base.vpc {
        return Err(AccountError::OtherVpc { listener: arn.to_owned(), there: balancer.vpc, here: base.vpc.clone() });
    }
    Ok(of(balancer, listener))
}

async fn own(config: &AccountConfig, base: &AccountRecord) -> Result<Balancer, AccountError> {
    let name = config.install.load_balancer();
    let balancer = match find(config, LoadBalancerBy::Name(name.clone())).await? {
        Some(balancer) => balancer,
        None => {
            let group = group(config, &base.vpc).await?;
            let request = Request::CreateLoadBalancer {
                name: name.clone(),
                subnets: one_in_each_zone(config, base).await?,
                security_groups: vec![group],
                tags: config.install.tags(),
            };
            let operation = request.operation();
            match config.api.call(request).await {
                Ok(answer) => answer.load_balancer(operation)?,
                Err(error) if error.fault == ApiFault::AlreadyExists => {
                    find(config, LoadBalancerBy::Name(name)).await?.ok_or(error)?
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let listener = listener(config, &balancer).await?;
    Ok(of(balancer, listener))
}

fn of(balancer: LoadBalancer, listener: Listener) -> Balancer {
    Balancer {
        arn: balancer.arn,
        dns_name: balancer.dns_name,
        listener: listener.arn,
        port: listener.port,
        security_groups: balancer.security_groups,
    }
}

async fn find(config: &AccountConfig, by: LoadBalancerBy) -> Result<Option<LoadBalancer>, AccountError> {
    let request = Request::DescribeLoadBalancer(by);
    let operation = request.operation();
    let found = config.api.call(request).await.and_then(|answer| answer.load_balancer(operation));
    Ok(if_found(found)?)
}

async fn listeners(config: &AccountConfig, of: ListenersOf) -> Result<Vec<Listener>, crate::api::ApiError> {
    let request = Request::DescribeListeners(of);
    let operation = request.operation();
    config.api.call(request).await?.listeners(operation)
}

/// Open to the world on the port of the listener.
async fn group(config: &AccountConfig, vpc: &str) -> Result<String, AccountError> {
    let name = config.install.load_balancer_group();
    let request = Request::CreateSecurityGroup {
        name: name.clone(),
        vpc: vpc.to_owned(),
        description: "The load balancer of tapit".to_owned(),
        tags: config.install.tags(),
    };
    let operation = request.operation();
    let group = match config.api.call(request).await {
        Ok(answer) => answer.id(operation)?,
        Err(error) if error.fault == ApiFault::AlreadyExists => find_group(config, vpc).await?.ok_or(error)?,
        Err(error) => return Err(error.into()),
    };
    let open = Request::AuthorizeIngress { group: group.clone(), from: IngressFrom::World { port: PORT } };
    config.api.call(open).await?;
    Ok(group)
}

pub(super) async fn find_group(config: &AccountConfig, vpc: &str) -> Result<Option<String>, AccountError> {
    let name = config.install.load_balancer_group();
    let request = Request::DescribeSecurityGroup { name, vpc: vpc.to_owned() };
    let operation = request.operation();
    Ok(config.api.call(request).await?.names(operation)?.0.into_iter().next())
}

/// A balancer takes one subnet of a zone. Those that the tasks are in, where they are public; else others of the VPC.
async fn one_in_each_zone(config: &AccountConfig, base: &AccountRecord) -> Result<Vec<String>, AccountError> {
    let mut by_zone: BTreeMap<String, String> = BTreeMap::new();
    for of in [SubnetsOf::Ids(base.subnets.clone()), SubnetsOf::Vpc(base.vpc.clone())] {
        for subnet in describe(config, of).await?.into_iter().filter(|subnet| subnet.public) {
            by_zone.entry(subnet.zone).or_insert(subnet.id);
        }
        if by_zone.len() >= ZONES {
            return Ok(by_zone.into_values().collect());
        }
    }
    Err(AccountError::FewZones { vpc: base.vpc.clone(), zones: by_zone.len() })
}

async fn listener(config: &AccountConfig, balancer: &LoadBalancer) -> Result<Listener, AccountError> {
    let found = async || {
        let all = listeners(config, ListenersOf::LoadBalancer(balancer.arn.clone())).await?;
        Ok::<_, AccountError>(all.into_iter().find(|listener| listener.port == PORT))
    };
    if let Some(listener) = found().await? {
        return Ok(listener);
    }
    let (load_balancer, tags) = (balancer.arn.clone(), config.install.tags());
    let request = Request::CreateListener { load_balancer: load_balancer.clone(), port: PORT, tags };
    let operation = request.operation();
    match config.api.call(request).await {
        Ok(answer) => Ok(Listener { arn: answer.id(operation)?, load_balancer, port: PORT }),
        Err(error) if error.fault == ApiFault::AlreadyExists => Ok(found().await?.ok_or(error)?),
        Err(error) => Err(error.into()),
    }
}

/// Ours, with its listener, as far as they are there.
pub(super) async fn find_own(config: &AccountConfig) -> Result<Option<(LoadBalancer, Option<Listener>)>, AccountError> {
    let Some(balancer) = find(config, LoadBalancerBy::Name(config.install.load_balancer())).await? else {
        return Ok(None);
    };
    let all = listeners(config, ListenersOf::LoadBalancer(balancer.arn.clone())).await?;
    Ok(Some((balancer, all.into_iter().find(|listener| listener.port == PORT))))
}
