//! Where a server is.

use std::path::PathBuf;

use tapit_model::Refusal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    #[error("TAPIT_BASEURL={url:?} is not legal; give unix:///path, http://host:port or https://host")]
    Form { url: String },
    #[error("TAPIT_BASEURL={url:?} has a path, and the API has none in front of it; give the host alone")]
    Path { url: String },
    #[error("the socket {path} has {length} bytes in its name, and a unix socket may have 107; use a shorter path")]
    Long { path: PathBuf, length: usize },
}

impl AddressError {
    pub fn into_refusal(self) -> Refusal {
        Refusal::usage(self.to_string())
    }
}

/// `sun_path` holds 108 bytes with the closing NUL.
const MAX_SOCKET: usize = 107;

impl Address {
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Form { url: url.to_owned() };
        if let Some(path) = url.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            let length = path.as_os_str().len();
            return match path.is_absolute() {
                false => Err(wrong()),
                true if length > MAX_SOCKET => Err(AddressError::Long { path, length }),
                true => Ok(Self::Unix(path)),
            };
        }
        let uri: hyper::Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong());
        }
        if uri.path_and_query().is_some_and(|path| path != "/" && !path.as_str().is_empty()) {
            return Err(AddressError::Path { url: url.to_owned() });
        }
        // An IPv6 address is in brackets in a URL, and nowhere else.
        let host = host.trim_matches(['[', ']']).to_owned();
        match uri.scheme_str() {
            Some("http") => Ok(Self::Tcp { host, port: uri.port_u16().unwrap_or(80) }),
            Some("https") => Ok(Self::Tls { host, port: uri.port_u16().unwrap_or(443) }),
            Some(_) | None => Err(wrong()),
        }
    }

    /// For the `Host` header.
    pub fn authority(&self) -> String {
        match self {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp { host, port } | Address::Tls { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("{host}:{port}")
            }
        }
    }

    /// True when what is sent can be read on the way.
    pub fn is_exposed(&self) -> bool {
        match self {
            Address::Unix(_) | Address::Tls { .. } => false,
            Address::Tcp { host, .. } => {
                let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
                !loopback && host != "localhost" && !host.ends_with(".localhost")
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Address::Tls { .. } => write!(f, "https://{}", self.authority()),
        }
    }
}
