//! Connections to one registry: where it is, whether it is spoken to in plain HTTP, and which redirects are followed.

use std::net::IpAddr;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Url};

use super::super::Limits;
use super::super::error::Fault;

const USER_AGENT: &str = concat!("tapit/", env!("CARGO_PKG_VERSION"));
/// Registries send blobs from elsewhere: one redirect, rarely two.
const MAX_REDIRECTS: usize = 8;
/// Connections to one registry that are kept for the next request.
const IDLE: usize = 8;

/// What the redirect rules refuse with; `words` looks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    #[error("it redirects without end")]
    Endless,
    #[error("it redirects from HTTPS to plain HTTP, which is not followed")]
    Downgrade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }
}

/// The clients for one registry. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Follows redirects, and gives up when nothing comes for a while.
    pub follow: Client,
    /// Follows nothing: what it sends is a password, or a body that can be sent only once. Whoever uses it bounds the
    /// time.
    pub still: Client,
}

impl Wire {
    pub fn new(host: &str, limits: &Limits) -> Result<Self, Fault> {
        // The HTTP client takes the process' provider and panics without one. A second installation is refused: fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = Client::builder()
                .connect_timeout(limits.connect_timeout)
                .pool_max_idle_per_host(IDLE)
                .referer(false)
                .user_agent(USER_AGENT);
            // A proxy of the environment is for what is elsewhere.
            if is_loopback(host) { builder.no_proxy() } else { builder }
        };
        let failed = |error: reqwest::Error| Fault::host("set up the registry client", &error);
        let follow = || builder().read_timeout(limits.stall_timeout).redirect(Policy::custom(decide));
        let still = || builder().redirect(Policy::none());
        Ok(Self { follow: build(follow).map_err(failed)?, still: build(still).map_err(failed)? })
    }
}

/// A host without any certificates of authorities can still speak with registries that need none; where one is needed, it
/// is not trusted, and the words for that say what to install.
fn build(builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// The client itself takes the login off a request that goes to another host, port or scheme.
fn decide(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match verdict(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    }
}

fn verdict(previous: &[Url], next: &Url) -> Result<(), RedirectError> {
    if previous.len() > MAX_REDIRECTS {
        return Err(RedirectError::Endless);
    }
    let from = previous.last().map(Url::scheme);
    if next.scheme() != "https" && from != Some("http") {
        return Err(RedirectError::Downgrade);
    }
    Ok(())
}

/// Where the API of a registry is. Docker Hub is called otherwise than it is reached.
pub fn api_host(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Plain HTTP without permission is for this host alone.
pub fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
            Some(_) | None => return false,
        },
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in [
            "docker.io",
            "localhost.evil.com",
            "127.0.0.1.evil.com:80",
            "10.0.0.1:5000",
            "128.0.0.1",
            "[::2]:80",
            "[::1].evil.com",
            "[::1",
        ] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn redirects_end_and_never_lead_from_https_to_http() {
        let url = |text: &str| Url::parse(text).expect("a url");
        let (secure, plain) = (url("https://a.example/1"), url("http://b.example/2"));
        assert_eq!(verdict(std::slice::from_ref(&secure), &url("https://cdn.example/x")), Ok(()));
        assert_eq!(verdict(std::slice::from_ref(&plain), &secure), Ok(()));
        assert_eq!(verdict(std::slice::from_ref(&plain), &plain), Ok(()));
        assert_eq!(verdict(std::slice::from_ref(&secure), &plain), Err(RedirectError::Downgrade));
        assert_eq!(verdict(&[plain.clone(), secure], &plain), Err(RedirectError::Downgrade));
        assert_eq!(verdict(&vec![plain.clone(); MAX_REDIRECTS + 1], &plain), Err(RedirectError::Endless));
    }

    #[test]
    fn docker_hub_is_reached_where_it_is() {
        assert_eq!(api_host("docker.io"), "registry-1.docker.io");
        assert_eq!(api_host("ghcr.io"), "ghcr.io");
    }
}
