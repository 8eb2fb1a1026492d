//! Which images ECS is left to fetch by itself, and which are carried to the account from here. Pure.

use std::net::IpAddr;

use tapit_model::RegistrySettings;

/// How an image of a registry comes to where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// ECS fetches it.
    Fetched,
    /// It is fetched here and sent to the app's repository.
    Carried,
}

/// ECS has no login that was set here, speaks no plain HTTP, and means itself by a loopback address.
pub fn way(registry: &str, settings: Option<&RegistrySettings>) -> Way {
    let known_here_alone = settings.is_some_and(|set| set.login.is_some() || set.plain_http);
    if known_here_alone || is_loopback(registry) { Way::Carried } else { Way::Fetched }
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use tapit_model::RegistryLogin;

    use super::*;

    #[test]
    fn what_only_this_host_can_fetch_is_carried() {
        let mirrored = RegistrySettings { mirrors: Vec::new(), ..RegistrySettings::default() };
        for registry in ["docker.io", "ghcr.io", "10.0.0.1:5000", "localhost.example", "127.0.0.1.example:80"] {
            assert_eq!(way(registry, None), Way::Fetched, "{registry}");
            assert_eq!(way(registry, Some(&mirrored)), Way::Fetched, "{registry}");
        }
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert_eq!(way(registry, None), Way::Carried, "{registry}");
        }
        let login = Some(RegistryLogin { username: "ann".to_owned(), password: "x".to_owned() });
        assert_eq!(way("ghcr.io", Some(&RegistrySettings { login, ..mirrored.clone() })), Way::Carried);
        assert_eq!(way("ghcr.io", Some(&RegistrySettings { plain_http: true, ..mirrored })), Way::Carried);
    }
}
