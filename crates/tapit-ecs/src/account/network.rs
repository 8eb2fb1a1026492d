//! Which subnets tasks run in, and whether they need public addresses to get out.

use std::collections::BTreeSet;

use super::{AccountConfig, AccountError};
use crate::api::{ApiFault, Request, Subnet, SubnetsOf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NetworkFound {
    pub vpc: String,
    pub subnets: Vec<String>,
    pub assign_public_ip: bool,
}

pub(super) async fn find(config: &AccountConfig) -> Result<NetworkFound, AccountError> {
    let subnets = match config.settings.subnets.as_slice() {
        [] => of_default_vpc(config).await?,
        named => named_ones(config, named).await?,
    };
    let vpcs: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.vpc.as_str()).collect();
    if vpcs.len() > 1 {
        let vpcs: Vec<&str> = vpcs.into_iter().collect();
        return Err(AccountError::SeveralVpcs { vpcs: vpcs.join(", ") });
    }
    let vpc = subnets.first().map(|subnet| subnet.vpc.clone()).unwrap_or_default();
    let public = subnets.iter().all(|subnet| subnet.public);
    Ok(NetworkFound {
        vpc,
        subnets: subnets.into_iter().map(|subnet| subnet.id).collect(),
        assign_public_ip: config.settings.assign_public_ip.unwrap_or(public),
    })
}

async fn of_default_vpc(config: &AccountConfig) -> Result<Vec<Subnet>, AccountError> {
    let request = Request::DescribeDefaultVpc;
    let operation = request.operation();
    let vpcs = config.api.call(request).await?.names(operation)?.0;
    let Some(vpc) = vpcs.into_iter().next() else {
        return Err(AccountError::NoDefaultVpc { region: config.region.clone() });
    };
    let subnets = describe(config, SubnetsOf::Vpc(vpc.clone())).await?;
    if subnets.is_empty() { Err(AccountError::NoSubnets { vpc }) } else { Ok(subnets) }
}

async fn named_ones(config: &AccountConfig, named: &[String]) -> Result<Vec<Subnet>, AccountError> {
    let found = match describe(config, SubnetsOf::Ids(named.to_vec())).await {
        Ok(found) => found,
        // AWS's words name the missing one, and this is the sentence that says where it was named.
        Err(AccountError::Call(error)) if error.fault == ApiFault::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let is_missing = |id: &&String| !found.iter().any(|subnet| subnet.id == **id);
    let missing: Vec<&str> = named.iter().filter(is_missing).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    Err(AccountError::UnknownSubnets { missing: missing.join(", "), region: config.region.clone() })
}

pub(super) async fn describe(config: &AccountConfig, of: SubnetsOf) -> Result<Vec<Subnet>, AccountError> {
    let request = Request::DescribeSubnets(of);
    let operation = request.operation();
    let mut subnets = config.api.call(request).await?.subnets(operation)?;
    subnets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(subnets)
}
