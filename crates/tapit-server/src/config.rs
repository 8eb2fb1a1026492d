//! The server's settings: what was given, checked and completed once at start-up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tapit_model::{MemoryMib, Refusal};

/// As given on the command line or in the environment; `None`: the default.
#[derive(Debug, Clone, Default)]
pub struct ServerArgs {
    pub data_dir: PathBuf,
    pub api: Option<String>,
    pub http: Option<String>,
    pub engine: Option<String>,
    pub ephemeral: bool,
    pub capacity_memory: Option<String>,
    pub spares_memory: Option<String>,
    pub reserve_memory: Option<String>,
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
    pub capacity: Option<MemoryMib>,
    /// For containers that are made before they are needed.
    pub spares: MemoryMib,
    /// What the host should keep available; `None`: the engine decides.
    pub reserve: Option<MemoryMib>,
    pub images_disk: ImagesDisk,
    pub log_format: LogFormat,
    /// Wanted of every caller on TCP.
    pub token: Option<String>,
}

impl Config {
    pub fn resolve(args: ServerArgs, token: Option<String>) -> Result<Self, Refusal> {
        match args.engine.as_deref() {
            None | Some("embedded") => {}
            Some(other) => {
                return Err(Refusal::usage(format!(
                    "--engine {other} is not known to this build; the engine is embedded"
                )));
            }
        }
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
        let capacity = args.capacity_memory.as_deref().map(MemoryMib::parse).transpose().map_err(|error| {
            Refusal::usage(format!("--capacity-memory {:?} is not legal; {}", error.value, error.legal))
        })?;
        let spares = memory_or_none("--spares-memory", args.spares_memory.as_deref())?.unwrap_or(SPARES);
        let reserve = memory_or_none("--reserve-memory", args.reserve_memory.as_deref())?;
        let images_disk = images_disk(args.images_disk.as_deref())?;
        let log_format = match args.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                return Err(Refusal::usage(format!("--log-format {other:?} is not known; give text or json")));
            }
        };
        Ok(Self {
            data_dir,
            api,
            http,
            ephemeral: args.ephemeral,
            capacity,
            spares,
            reserve,
            images_disk,
            log_format,
            token,
        })
    }
}

/// Memory, where 0 stands for none at all.
fn memory_or_none(flag: &str, text: Option<&str>) -> Result<Option<MemoryMib>, Refusal> {
    let wrong = |error: tapit_model::QuantityError| {
        Refusal::usage(format!("{flag} {:?} is not legal; {}, or 0 for none", error.value, error.legal))
    };
    match text {
        Some("0") => Ok(Some(MemoryMib::from_mib(0))),
        text => text.map(MemoryMib::parse).transpose().map_err(wrong),
    }
}

/// Some dozen spares.
const SPARES: MemoryMib = MemoryMib::from_mib(64);

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
        assert_eq!(config.spares, MemoryMib::from_mib(64));
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
        check(|a| a.engine = Some("docker".into()), "the engine is embedded");
        check(|a| a.http = Some("localhost".into()), "HOST:PORT");
        check(|a| a.capacity_memory = Some("lots".into()), "memory=0.5");
        check(|a| a.spares_memory = Some("1M".into()), "or 0 for none");
        assert_eq!(resolve(|a| a.spares_memory = Some("0".into()), None).map(|c| c.spares.mib()), Ok(0));
        check(|a| a.reserve_memory = Some("-1".into()), "or 0 for none");
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
