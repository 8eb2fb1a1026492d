//! The role that ECS itself works with: it pulls images from the account's registry and writes logs.

use super::{AccountConfig, AccountError, if_found};
use crate::api::{ApiFault, Request};

/// ARN of the given one, or of ours.
pub(super) async fn ensure(config: &AccountConfig) -> Result<String, AccountError> {
    if let Some(given) = &config.settings.execution_role {
        return Ok(given.clone());
    }
    let role = config.install.execution_role();
    let attach = Request::AttachExecutionPolicy { role: role.clone() };
    if let Some(arn) = find(config).await? {
        // An earlier server may have died before it attached it.
        config.api.call(attach).await?;
        return Ok(arn);
    }
    let request = Request::CreateRole {
        name: role.clone(),
        description: "Tasks of tapit: pulls images and writes logs".to_owned(),
        tags: config.install.tags(),
    };
    let operation = request.operation();
    let arn = match config.api.call(request).await {
        Ok(answer) => answer.id(operation)?,
        // Somebody was quicker, or an answer was lost on the way.
        Err(error) if error.fault == ApiFault::AlreadyExists => find(config).await?.ok_or(error)?,
        Err(error) => return Err(error.into()),
    };
    config.api.call(attach).await?;
    tokio::time::sleep(config.pace.role_settles).await;
    Ok(arn)
}

async fn find(config: &AccountConfig) -> Result<Option<String>, AccountError> {
    let request = Request::GetRole { name: config.install.execution_role() };
    let operation = request.operation();
    let found = config.api.call(request).await.and_then(|answer| answer.id(operation));
    Ok(if_found(found)?)
}
