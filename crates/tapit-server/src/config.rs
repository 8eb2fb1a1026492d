//! The server's settings: what was given, checked and completed once at start-up.

mod engine;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tapit_model::Refusal;

pub use engine::{EcsArgs, EngineArgs, EngineChoice, HostSettings};

/// As given on the command line or in the environment; `None`: the default.
#[derive(Debug, Clone, Default)]
pub struct ServerArgs {
    pub data_dir: PathBuf,
    pub api: Option<String>,
    pub http: Option<String>,
    pub engine: EngineArgs,
    pub ephemeral: bool,
    pub images_disk: Option<String>,
    pub log_format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What images may take before unused ones go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagesDisk {
    /// Half of the file system that they lie on.
    Half,
    Bytes(u64),
    Unbounded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiAddress {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub api: ApiAddress,
    pub http: SocketAddr,
    pub ephemeral: bool,
    pub engine: EngineChoice,
    pub images_disk: ImagesDisk,
    pub log_format: LogFormat,
    /// Wanted of every caller on TCP.
    pub token: Option<String>,
}

impl Config {
    pub fn resolve(args: ServerArgs, token: Option<String>) -> Result<Self, Refusal> {
        let engine = EngineChoice::resolve(args.engine)?;
        let data_dir = absolute(args.data_dir)?;
        let api = match args.api.as_deref() {
            None => ApiAddress::Unix(data_dir.join(SOCKET)),
            Some(text) => api_address(text, token.is_some())?,
        };
        let http = args.http.as_deref().unwrap_or("127.0.0.1:8080");
        let http = http.parse().map_err(|_| {
            Refusal::usage(format!(
                "--http {http:?} is not HOST:PORT with a numeric address, for example 127.0.0.1:8080"
            ))
        })?;
        let images_disk = images_disk(args.images_disk.as_deref())?;
        let log_format = match args.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                return Err(Refusal::usage(format!("--log-format {other:?} is not known; give text or json")));
            }
        };
        Ok(Self { data_dir, api, http, ephemeral: args.ephemeral, engine, images_disk, log_format, token })
    }
}

/// GB, of 10^9 bytes as disks have them.
fn images_disk(text: Option<&str>) -> Result<ImagesDisk, Refusal> {
    let Some(text) = text else { return Ok(ImagesDisk::Half) };
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text.parse::<f64>() {
        Ok(gb) if plain && gb == 0.0 => Ok(ImagesDisk::Unbounded),
        Ok(gb) if plain && gb <= 1e6 => Ok(ImagesDisk::Bytes((gb * 1e9) as u64)),
        Ok(_) | Err(_) => {
            let text = format!("--images-disk {text:?} is not legal; give GB such as 20 or 0.5, or 0 for no bound");
            Err(Refusal::usage(text))
        }
    }
}

const SOCKET: &str = "tapit.sock";

fn absolute(path: PathBuf) -> Result<PathBuf, Refusal> {
    std::path::absolute(&path).map_err(|error| Refusal::usage(format!("--data-dir {}: {error}", path.display())))
}

fn api_address(text: &str, token: bool) -> Result<ApiAddress, Refusal> {
    if let Some(path) = text.strip_prefix("unix://") {
        if !path.starts_with('/') {
            return Err(Refusal::usage(format!("--api {text:?} needs an absolute path: unix:///path/to/socket")));
        }
        return Ok(ApiAddress::Unix(Path::new(path).to_owned()));
    }
    let addr: SocketAddr = text.parse().map_err(|_| {
        Refusal::usage(format!("--api {text:?} is neither unix:///path nor HOST:PORT with a numeric address"))
    })?;
    if !token {
        return Err(Refusal::usage(format!(
            "--api {text} listens on TCP, where every user of this machine reaches it; set TAPIT_TOKEN to a secret that callers must give"
        )));
    }
    if !addr.ip().is_loopback() {
        return Err(Refusal::usage(format!(
            "--api {text} is not a loopback address; the API has no TLS of its own, so put a proxy with TLS before it"
        )));
    }
    Ok(ApiAddress::Tcp(addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(change: impl FnOnce(&mut ServerArgs), token: Option<&str>) -> Result<Config, String> {
        let mut args = ServerArgs { data_dir: "/x".into(), ..ServerArgs::default() };
        change(&mut args);
        Config::resolve(args, token.map(str::to_owned)).map_err(|refusal| refusal.message)
    }

    #[test]
    fn the_defaults_are_a_socket_in_the_data_dir_and_loopback_http() {
        let config = resolve(|_| {}, None).expect("legal");
        assert_eq!(config.api, ApiAddress::Unix("/x/tapit.sock".into()));
        assert_eq!(config.http.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_disk_of_images_is_given_in_gb_and_0_is_no_bound() {
        let disk =
            |text: Option<&str>| resolve(|a| a.images_disk = text.map(str::to_owned), None).map(|c| c.images_disk);
        assert_eq!(disk(None), Ok(ImagesDisk::Half));
        assert_eq!(disk(Some("0.5")), Ok(ImagesDisk::Bytes(500_000_000)));
        assert_eq!(disk(Some("20")), Ok(ImagesDisk::Bytes(20_000_000_000)));
        assert_eq!(disk(Some("0")), Ok(ImagesDisk::Unbounded));
    }

    #[test]
    fn wrong_settings_say_what_is_legal() {
        let check = |change: fn(&mut ServerArgs), part: &str| {
            let text = resolve(change, None).expect_err(part);
            assert!(text.contains(part), "{text}");
        };
        check(|a| a.http = Some("localhost".into()), "HOST:PORT");
        check(|a| a.engine.name = Some("docker".into()), "the engines are embedded and ecs");
        for bad in ["-1", "", "1e3", "inf", "NaN", "2000000", "20GB"] {
            let text = resolve(|a| a.images_disk = Some(bad.into()), None).expect_err(bad);
            assert!(text.contains("GB such as 20"), "{text}");
        }
        check(|a| a.log_format = Some("xml".into()), "text or json");
        check(|a| a.api = Some("unix://x".into()), "absolute path");
        check(|a| a.api = Some("127.0.0.1:0".into()), "TAPIT_TOKEN");
        assert!(resolve(|a| a.api = Some("0.0.0.0:1".into()), Some("t")).expect_err("public").contains("loopback"));
    }
}
