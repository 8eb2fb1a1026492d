//! The adapter to the SDK, on a test's account: what the environment says for a whole process is said here for one account.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tapit_ecs::aws::{Aws, connector};

use crate::support::Account;
use crate::support::emulator::REGION;

pub fn connect(account: &Account) -> Aws {
    let credentials = Credentials::new(account.id(), "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{}", account.address()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Aws::new(&config, connector()).expect("a complete configuration")
}
