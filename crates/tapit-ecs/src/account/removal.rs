//! Taking back what all apps shared, once there is none any more; and finding it where no file tells of it.

use std::time::Duration;

use super::{Account, AccountError, balancer, network, off_thread};
use crate::api::{ApiError, ApiFault, Request};
use crate::engine::pace::back_off;

/// A load balancer lets go of its network only some time after it was deleted.
const TRIES: u32 = 12;

impl Account {
    /// The VPC that everything is in, if it can be told. Makes nothing.
    pub async fn vpc(&self) -> Result<Option<String>, ApiError> {
        if let Some(known) = self.known() {
            return Ok(Some(known.vpc));
        }
        // Without a network nothing was made in it.
        Ok(if_there(network::find(&self.config).await)?.map(|found| found.vpc))
    }

    /// The listener that apps' rules hang on, if there is one. Makes nothing.
    pub async fn listener(&self) -> Result<Option<String>, ApiError> {
        if let Some(balancer) = self.known().and_then(|known| known.balancer) {
            return Ok(Some(balancer.listener));
        }
        if let Some(given) = &self.config.settings.listener {
            return Ok(Some(given.clone()));
        }
        let own = if_there(balancer::find_own(&self.config).await)?.flatten();
        Ok(own.and_then(|(_, listener)| listener).map(|listener| listener.arn))
    }

    /// Removes what was made for all apps, by name: also what no file tells of. What was given stays.
    pub async fn remove(&self) -> Result<(), AccountError> {
        let _making = self.making.lock().await;
        if let Some((own, _)) = balancer::find_own(&self.config).await? {
            self.until_free(Request::DeleteLoadBalancer { arn: own.arn }).await?;
        }
        if let Some(vpc) = self.vpc().await?
            && let Some(group) = balancer::find_group(&self.config, &vpc).await?
        {
            self.until_free(Request::DeleteSecurityGroup { group }).await?;
        }
        if self.config.settings.execution_role.is_none() {
            self.remove_role().await?;
        }
        let books = std::sync::Arc::clone(&self.config.books);
        off_thread(move || books.remove_account()).await?;
        *self.lock() = None;
        Ok(())
    }

    async fn remove_role(&self) -> Result<(), AccountError> {
        let role = self.config.install.execution_role();
        match self.config.api.call(Request::DetachExecutionPolicy { role: role.clone() }).await {
            // Also one that has lost its policy, or never got it.
            Ok(_) => {}
            Err(error) if error.fault == ApiFault::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.until_free(Request::DeleteRole { name: role }).await?)
    }

    async fn until_free(&self, request: Request) -> Result<(), ApiError> {
        let mut tries = 0;
        loop {
            match self.config.api.call(request.clone()).await {
                Err(error) if error.fault.passes() && tries < TRIES => tries += 1,
                Err(error) if error.fault != ApiFault::NotFound => return Err(error),
                Ok(_) | Err(_) => return Ok(()),
            }
            tokio::time::sleep(back_off(tries).min(Duration::from_secs(15))).await;
        }
    }
}

/// Whatever is wrong with the settings, there is nothing then; only a call that failed leaves it open.
fn if_there<T>(found: Result<T, AccountError>) -> Result<Option<T>, ApiError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(AccountError::Call(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
