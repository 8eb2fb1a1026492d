//! Credentials, kept for as long as they are good: each look where they come from may be a call to another service.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Mutex;

/// Those without an end are looked up anew after so long: files may have been written.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Before their end they are not used any more: a call takes its time, and clocks differ.
const MARGIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Identities {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    since: Instant,
}

impl Identities {
    pub fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, kept: Mutex::new(None) }
    }

    /// Whoever comes while they are looked up waits for them.
    pub async fn current(&self) -> Result<Identity, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { credentials, .. }) = kept.as_ref().filter(|kept| kept.is_good(SystemTime::now())) {
            return Ok(credentials.clone().into());
        }
        let credentials = self.provider.provide_credentials().await?;
        *kept = Some(Kept { credentials: credentials.clone(), since: Instant::now() });
        Ok(credentials.into())
    }

    /// AWS does not take them.
    pub async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}

impl Kept {
    fn is_good(&self, now: SystemTime) -> bool {
        let ends_later = self.credentials.expiry().is_none_or(|end| end > now + MARGIN);
        ends_later && self.since.elapsed() < LIFETIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(expiry: Option<SystemTime>) -> Kept {
        Kept { credentials: Credentials::new("id", "secret", None, expiry, "test"), since: Instant::now() }
    }

    #[test]
    fn credentials_are_good_until_shortly_before_their_end() {
        let now = SystemTime::now();
        let end = now + Duration::from_secs(3600);
        assert!(kept(None).is_good(now));
        assert!(kept(Some(end)).is_good(now));
        assert!(!kept(Some(end)).is_good(end - Duration::from_secs(30)));
    }
}
