//! Registries: asks what a reference is, fetches documents and blobs, and sends them.
//!
//! `Registries` is what one store knows of all of them, and keeps their connections and tokens from one image to the
//! next. `Registry` is the one of an image, with its mirrors. Nothing is believed that does not have the digest it should
//! have, wherever it comes from.
//!
//! The client is our own, over `reqwest`, because a registry is hostile until proven otherwise: every body has a bound,
//! every wait an end, passwords go where they belong, and what broke off is gone on with.

mod challenge;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host;
mod pace;
mod push;
mod token;
mod wire;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef, RegistryName, RegistrySettings};

use super::Limits;
use super::config::MAX_DOCUMENT;
use super::credentials::Docker;
use super::disk::Layout;
use super::error::{Fault, ImageStoreError};
use super::hash::sha256;
use super::manifest::{self, MANIFEST_TYPES, MAX_DEPTH, Manifest, Parsed, Platform};
use super::settings::Settings;

pub use fetch::Sink;
pub use host::Operation;
pub use push::{Content, Told};

use host::{Ask, Host, Logins, Reply, Scope, paced};
use pace::Pace;
use words::{Again, Trouble};

/// Registries whose connections and tokens are kept. Anybody has fewer.
const MAX_HOSTS: usize = 64;

/// Everything that one store knows of registries.
pub struct Registries {
    settings: Settings,
    docker: Docker,
    limits: Limits,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Registries {
    pub fn open(layout: &Layout, limits: &Limits, docker: Docker) -> Result<Self, ImageStoreError> {
        let settings = Settings::open(layout)?;
        Ok(Self { settings, docker, limits: limits.clone(), hosts: Mutex::default() })
    }

    pub fn settings(&self) -> BTreeMap<RegistryName, RegistrySettings> {
        self.settings.all()
    }

    /// Transfers underway go on as they began; what comes next sees the new settings.
    pub fn set(&self, name: RegistryName, settings: Option<RegistrySettings>) -> Result<(), Fault> {
        self.settings.set(name, settings)?;
        self.hosts().clear();
        Ok(())
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, name: &str) -> Result<Arc<Host>, Fault> {
        let name = name.to_ascii_lowercase();
        if let Some(host) = self.hosts().get(&name) {
            return Ok(host.clone());
        }
        let host = Arc::new(Host::new(&name, self.of(&name), Logins::Kept(self.docker.clone()), &self.limits)?);
        let mut hosts = self.hosts();
        if hosts.len() >= MAX_HOSTS {
            hosts.clear();
        }
        Ok(hosts.entry(name).or_insert(host).clone())
    }

    fn of(&self, name: &str) -> RegistrySettings {
        RegistryName::parse(name).ok().and_then(|name| self.settings.all().remove(&name)).unwrap_or_default()
    }
}

/// A registry or a mirror of it, for one image.
struct Endpoint {
    host: Arc<Host>,
    /// It did not do its part for this image; only mirrors are passed over.
    out: AtomicBool,
}

/// The registry of one image, and its mirrors.
pub struct Registry {
    /// Mirrors first; the registry itself is the last one.
    endpoints: Vec<Endpoint>,
    scope: Scope,
    limits: Limits,
}

/// What a reference stands for at present.
#[derive(Debug)]
pub struct Resolved {
    /// Of the document that the reference names, index or manifest.
    pub digest: Digest,
    /// Of the manifest itself.
    pub own: Digest,
    pub manifest: Manifest,
    /// What the index that led to it is for; nothing where there was none.
    pub platforms: Vec<String>,
}

impl Registry {
    /// To fetch an image.
    pub fn new(image: &ImageRef, registries: &Registries) -> Result<Self, Fault> {
        let mirrors = registries.of(image.registry()).mirrors;
        let names = mirrors.iter().map(RegistryName::as_str).chain([image.registry()]);
        Self::of(image, registries, names, Operation::Pull)
    }

    /// To send an image. Mirrors are only read.
    pub fn to_push(image: &ImageRef, registries: &Registries) -> Result<Self, Fault> {
        Self::of(image, registries, [image.registry()].into_iter(), Operation::Push)
    }

    /// With a login that was got for this, which is not kept. Mirrors are not asked.
    pub fn with(
        image: &ImageRef,
        registries: &Registries,
        given: &RegistrySettings,
        operation: Operation,
    ) -> Result<Self, Fault> {
        let name = image.registry().to_ascii_lowercase();
        let host = Arc::new(Host::new(&name, given.clone(), Logins::Given, &registries.limits)?);
        Ok(Self {
            endpoints: vec![Endpoint { host, out: AtomicBool::new(false) }],
            scope: Scope { repository: image.repository().to_owned(), operation },
            limits: registries.limits.clone(),
        })
    }

    fn of<'a>(
        image: &ImageRef,
        registries: &Registries,
        names: impl Iterator<Item = &'a str>,
        operation: Operation,
    ) -> Result<Self, Fault> {
        let endpoint = |name| Ok(Endpoint { host: registries.host(name)?, out: AtomicBool::new(false) });
        Ok(Self {
            endpoints: names.map(endpoint).collect::<Result<_, Fault>>()?,
            scope: Scope { repository: image.repository().to_owned(), operation },
            limits: registries.limits.clone(),
        })
    }

    /// Mirrors that do their part, and the registry itself.
    fn usable(&self) -> impl Iterator<Item = &Endpoint> {
        let last = self.endpoints.len().saturating_sub(1);
        let usable = move |(at, endpoint): &(usize, &Endpoint)| *at == last || !endpoint.out.load(Ordering::Relaxed);
        self.endpoints.iter().enumerate().filter(usable).map(|(_, endpoint)| endpoint)
    }

    /// Asks for the manifest for this host; an index is followed to it.
    pub async fn resolve(&self, image: &ImageRef, here: &Platform) -> Result<Resolved, Fault> {
        let asked = match (image.digest(), image.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.unwrap_or("latest"),
        };
        let (mut bytes, digest) = self.document(asked, image.digest()).await?;
        let (mut own, mut platforms) = (digest.clone(), Vec::new());
        for _ in 0..MAX_DEPTH {
            match manifest::parse(&bytes)? {
                Parsed::Manifest(manifest) => return Ok(Resolved { digest, own, manifest, platforms }),
                Parsed::Index(entries) => {
                    let entry = manifest::pick(&entries, here)?;
                    platforms = manifest::platforms(&entries);
                    (bytes, own) = self.document(entry.digest.as_str(), Some(&entry.digest)).await?;
                }
            }
        }
        Err(Fault::invalid("its indexes lead to ever more indexes; build it anew"))
    }

    /// From the first of the mirrors that has it, or from the registry itself.
    async fn document(&self, asked: &str, expected: Option<&Digest>) -> Result<(Vec<u8>, Digest), Fault> {
        let mut told = Vec::new();
        for endpoint in self.usable() {
            match self.document_of(&endpoint.host, asked, expected).await {
                Ok(document) => return Ok(document),
                Err(fault) => {
                    endpoint.out.store(fault.fault != ImageFault::NotFound, Ordering::Relaxed);
                    told.push(fault);
                }
            }
        }
        Err(joined(told))
    }

    async fn document_of(
        &self,
        host: &Host,
        asked: &str,
        expected: Option<&Digest>,
    ) -> Result<(Vec<u8>, Digest), Fault> {
        let mut tries = self.tries();
        let bytes = loop {
            match self.document_once(host, asked).await {
                Ok(bytes) => break bytes,
                Err(trouble) => tries.after(trouble, &[Again::Broken]).await?,
            }
        };
        let digest = sha256(&bytes).ok_or_else(|| Fault::invalid("its manifest has no digest"))?;
        match expected {
            Some(expected) if *expected != digest => Err(Fault::invalid(format!(
                "the registry {} sent a manifest {digest} for {expected}; push the image again",
                host.name
            ))),
            Some(_) | None => Ok((bytes, digest)),
        }
    }

    fn tries(&self) -> Tries {
        Tries { pause: self.limits.retry_pause, made: 0 }
    }

    async fn document_once(&self, host: &Host, asked: &str) -> Result<Vec<u8>, Trouble> {
        let url = host.url(&format!("{}/manifests/{asked}", self.scope.repository))?;
        let accept = HeaderValue::from_static(MANIFEST_TYPES);
        let ask = Ask { method: Method::GET, url, headers: vec![(ACCEPT, accept)], scope: &self.scope };
        let mut reply = host.ask(&ask).await?;
        let status = reply.response.status();
        if status == StatusCode::NOT_FOUND {
            return Err(words::not_found(&host.name, asked, &self.scope.repository).into());
        }
        if status != StatusCode::OK {
            return Err(refused(host, self.scope.operation, &mut reply).await);
        }
        let kind = reply.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_page = kind.is_some_and(|kind| kind.trim_start().starts_with("text/html"));
        let mut pace = Pace::new(self.limits.pace_window, self.limits.pace_floor);
        let mut bytes = Vec::new();
        while let Some(chunk) = paced(host, &mut reply.response, &mut pace).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_DOCUMENT {
                let text = format!("its manifest has more than {MAX_DOCUMENT} bytes; build it with fewer steps");
                return Err(Fault::invalid(text).into());
            }
        }
        if is_page || bytes.trim_ascii_start().starts_with(b"<") {
            return Err(words::web_page(&host.name).into());
        }
        Ok(bytes)
    }
}

/// How often something was tried.
struct Tries {
    pause: Duration,
    made: u32,
}

impl Tries {
    /// Rests before the next try, if one may help against this trouble and there were not enough yet.
    async fn after(&mut self, trouble: Trouble, helps: &[Again]) -> Result<(), Fault> {
        self.made += 1;
        if self.made == host::ATTEMPTS || !helps.contains(&trouble.again) {
            return Err(trouble.fault);
        }
        tokio::time::sleep(self.pause * self.made).await;
        Ok(())
    }
}

/// What the status of a refusal means, whatever was asked for.
async fn refused(host: &Host, operation: Operation, reply: &mut Reply) -> Trouble {
    let body = host::take(&host.name, &mut reply.response, host::MAX_REFUSAL).await.unwrap_or_default();
    let (status, said) = (reply.response.status(), words::said(&body));
    let fault = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            words::denied(&host.name, operation, reply.origin.as_ref(), &said)
        }
        status => words::odd(&host.name, status, &said),
    };
    fault.into()
}

/// The registry's own fault decides; what was wrong with a mirror is worth knowing besides.
fn joined(mut told: Vec<Fault>) -> Fault {
    let Some(mut last) = told.pop() else { return Fault::new(ImageFault::Host, "there is no registry to ask") };
    for fault in told.iter().filter(|fault| fault.fault != ImageFault::NotFound) {
        last.text = format!("{}; of its mirror: {}", last.text, fault.text);
    }
    last
}
