//! The configuration of an image: read from its JSON, checked, and reduced to what a container needs.

use std::collections::BTreeMap;

use serde::Deserialize;
use tapit_model::{Digest, Port};

use super::ImageConfig;
use super::error::Fault;
use super::manifest::Platform;
pub use crate::linux::stack::MAX_LAYERS;

/// For manifests and configurations; real ones have a few KiB.
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// The kernel's bound on one argument or variable, without the NUL at its end.
const MAX_WORD: usize = (128 << 10) - 1;
/// Half of what the kernel takes of all arguments and variables together: the process has some of its own.
const MAX_WORDS: usize = 1 << 20;

#[derive(Deserialize)]
struct Document {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    rootfs: Option<RootFs>,
    config: Option<Run>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    env: Option<Vec<String>>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
}

/// Old builders wrote a single string for a command of one word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Many(Vec<String>),
    One(String),
}

impl Words {
    fn list(words: Option<Words>) -> Vec<String> {
        match words {
            Some(Words::Many(words)) => words,
            Some(Words::One(word)) => vec![word],
            None => Vec::new(),
        }
    }
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub diff_ids: Vec<Digest>,
    /// With no layers yet; the store knows where they lie.
    pub run: ImageConfig,
}

pub fn parse(bytes: &[u8], here: &Platform) -> Result<Config, Fault> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| Fault::invalid(format!("its configuration cannot be read: {error}")))?;
    check_platform(&document, here)?;
    let diff_ids = diff_ids(document.rootfs)?;
    let run = document.config.unwrap_or_default();
    let config = ImageConfig {
        layers: Vec::new(),
        entrypoint: Words::list(run.entrypoint),
        cmd: Words::list(run.cmd),
        // A word without `=` sets nothing.
        env: run.env.unwrap_or_default().into_iter().filter(|word| word.contains('=')).collect(),
        user: run.user.unwrap_or_default(),
        working_dir: run.working_dir.unwrap_or_default(),
        exposed: exposed(run.exposed_ports.unwrap_or_default().keys()),
        stop_signal: run.stop_signal.filter(|signal| !signal.is_empty()),
        labels: run.labels.unwrap_or_default(),
    };
    check_words(&config)?;
    Ok(Config { diff_ids, run: config })
}

fn check_platform(document: &Document, here: &Platform) -> Result<(), Fault> {
    // Images made by hand often state nothing.
    let os = document.os.as_deref().filter(|os| !os.is_empty()).unwrap_or(here.os);
    let architecture = document.architecture.as_deref().filter(|name| !name.is_empty()).unwrap_or(here.architecture);
    if os != here.os || architecture != here.architecture {
        let variant = document.variant.as_deref().map(|variant| format!("/{variant}")).unwrap_or_default();
        return Err(Fault::invalid(format!("it is for {os}/{architecture}{variant}, but it is to run on {here}")));
    }
    Ok(())
}

fn diff_ids(rootfs: Option<RootFs>) -> Result<Vec<Digest>, Fault> {
    let texts = rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    if texts.is_empty() {
        return Err(Fault::invalid("its configuration names no layers, so there is nothing to run"));
    }
    if texts.len() > MAX_LAYERS {
        return Err(Fault::invalid(format!(
            "it has {} layers; at most {MAX_LAYERS} can be mounted. Build it with fewer steps, or squash it",
            texts.len()
        )));
    }
    let parse = |text: &String| {
        Digest::parse(text).ok_or_else(|| Fault::invalid(format!("its configuration names the layer {text:?}")))
    };
    texts.iter().map(parse).collect()
}

/// The TCP ports, sorted; `80` and `80/tcp` mean the same, ranges mean nothing that could be used.
fn exposed<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Port> {
    let tcp = |text: &String| match text.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    };
    let mut ports: Vec<Port> = texts.filter_map(tcp).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn check_words(config: &ImageConfig) -> Result<(), Fault> {
    let words = config.entrypoint.iter().chain(&config.cmd).chain(&config.env);
    let words = words.chain([&config.user, &config.working_dir]).chain(&config.stop_signal);
    let mut together = 0;
    for word in words {
        if word.contains('\0') {
            return Err(Fault::invalid("its configuration holds a NUL byte, which no program can be given"));
        }
        if word.len() > MAX_WORD {
            return Err(Fault::invalid(format!(
                "its configuration holds a word of {} bytes; a program can be given at most {MAX_WORD} at once",
                word.len()
            )));
        }
        together += word.len();
    }
    if together > MAX_WORDS {
        return Err(Fault::invalid(format!(
            "its command and environment have {together} bytes; a program can be given at most {MAX_WORDS}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Platform = Platform { os: "linux", architecture: "amd64" };

    fn text(run: &str) -> String {
        let diff_id = "a".repeat(64);
        format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"diff_ids":["sha256:{diff_id}"]}},"config":{run}}}"#
        )
    }

    #[test]
    fn what_a_container_needs_is_read() {
        let run = r#"{"Entrypoint":["/e"],"Cmd":"c","Env":["A=1","B"],"User":"app:app","WorkingDir":"/w",
            "ExposedPorts":{"80/tcp":{},"53/udp":{},"8080":{},"443/tcp":null,"0/tcp":{},"1-2/tcp":{}},
            "StopSignal":"SIGQUIT","Labels":{"a":"b"}}"#;
        let config = parse(text(run).as_bytes(), &HERE).expect("config").run;
        assert_eq!((config.entrypoint, config.cmd), (vec!["/e".to_owned()], vec!["c".to_owned()]));
        assert_eq!(config.env, ["A=1"]);
        assert_eq!(config.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [80, 443, 8080]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("app:app", "/w"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
    }

    #[test]
    fn nulls_mean_nothing_given() {
        let run = r#"{"Entrypoint":null,"Cmd":null,"Env":null,"ExposedPorts":null,"Labels":null,"StopSignal":null}"#;
        for run in [run, "null", "{}"] {
            assert_eq!(parse(text(run).as_bytes(), &HERE).expect("config").run.cmd, [""; 0]);
        }
    }

    #[test]
    fn what_cannot_run_here_is_refused_with_the_reason() {
        let refused = |text: String| parse(text.as_bytes(), &HERE).expect_err("refused").text;
        assert!(
            refused(text("{}").replace("amd64", "arm64")).contains("for linux/arm64, but it is to run on linux/amd64")
        );
        assert!(refused(text("{}").replace("\"linux\"", "\"windows\"")).contains("for windows/amd64"));
        assert!(refused(text(r#"{"Cmd":["a\u0000b"]}"#)).contains("NUL"));
        let long = |bytes: usize| format!(r#"{{"Cmd":["{}"]}}"#, "x".repeat(bytes));
        assert!(parse(text(&long(131_071)).as_bytes(), &HERE).is_ok());
        assert!(refused(text(&long(131_072))).contains("a word of 131072 bytes"));
        let many = format!(r#"{{"Env":["{}"]}}"#, vec!["A=".repeat(50_000); 11].join("\",\""));
        assert!(refused(text(&many)).contains("have 1100000 bytes"));
        assert!(refused("{}".to_owned()).contains("no layers"));
        assert!(refused("[".to_owned()).contains("cannot be read"));
        let digest = format!("\"sha256:{}\"", "a".repeat(64));
        let many = text("{}").replace(&digest, &vec![digest.clone(); 501].join(","));
        assert!(refused(many).contains("501 layers; at most 500"));
    }
}
