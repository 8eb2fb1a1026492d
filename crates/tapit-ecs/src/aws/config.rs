//! Where the account is and how it is reached: the SDK's standard chain, with our client and patience.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

use crate::settings::EcsSettings;

/// To AWS, which is never far.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer of almost every call. AWS takes milliseconds, some seconds at worst.
pub const ANSWER: Duration = Duration::from_secs(20);
/// For an answer of those that stop tasks: not AWS's, but an emulator's, which waits for each of them.
pub const SLOW_ANSWER: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no AWS region is known; name it with --ecs-region, AWS_REGION, or in the profile")]
    NoRegion,
    #[error("the configuration of AWS names no source of credentials")]
    NoCredentials,
}

pub async fn load(settings: &EcsSettings, connector: &SharedHttpConnector) -> SdkConfig {
    // A fixed version: a new release of the SDK may not change how long we wait or what we repeat.
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(client(connector))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(ANSWER))
        // Answers are small and the whole of each has a bound, so that nothing can stall for longer.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

pub fn timeouts(answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(answer).build()
}

/// One pool of connections for everything, with the provider of TLS that the workspace has.
pub fn connector() -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(SLOW_ANSWER).build();
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .build();
    SharedHttpConnector::new(connector)
}

pub fn client(connector: &SharedHttpConnector) -> SharedHttpClient {
    let connector = connector.clone();
    http_client_fn(move |_, _| connector.clone())
}
