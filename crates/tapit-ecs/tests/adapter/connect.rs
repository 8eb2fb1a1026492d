//! What must be known before anything can be called.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tapit_ecs::EcsSettings;
use tapit_ecs::aws::{Aws, ConnectError, connector};

#[tokio::test]
async fn the_region_that_is_given_goes_before_what_the_environment_says() {
    let settings = EcsSettings { region: Some("eu-north-1".to_owned()), ..EcsSettings::default() };
    let (_, region) = Aws::connect(&settings).await.expect("a region is all that is needed");
    assert_eq!(region, "eu-north-1");
}

#[test]
fn without_a_region_or_a_source_of_credentials_there_is_no_account() {
    let config = || SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
    let nobody = config().region(Region::new("eu-north-1")).build();
    assert!(matches!(Aws::new(&nobody, connector()), Err(ConnectError::NoCredentials)));
    let credentials = SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "test"));
    let nowhere = config().credentials_provider(credentials).build();
    let error = Aws::new(&nowhere, connector()).expect_err("no region");
    assert!(error.to_string().contains("--ecs-region"), "{error}");
}
