//! One registry, for one preparation: asks what a reference is, and fetches documents and blobs.
//!
//! Logging in and blobs are `oci-client`'s work. Manifests are fetched here, because it would take one of any length
//! into memory. Nothing is believed that does not have the digest it should have.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use reqwest::StatusCode;
use tapit_engine::ImageFault;
use tapit_model::{Digest, ImageRef};
use tokio::io::AsyncWriteExt;

use super::config::{MAX_DOCUMENT, sha256};
use super::error::Fault;
use super::manifest::{self, Descriptor, MANIFEST_TYPES, MAX_DEPTH, Manifest, Parsed, Platform};
use super::{Limits, credentials};

const USER_AGENT: &str = concat!("tapit/", env!("CARGO_PKG_VERSION"));
/// Of one blob. A registry that fails for longer is left to the next attempt of whoever wants the image.
const ATTEMPTS: u32 = 3;

pub struct Registry {
    reference: Reference,
    /// As the user wrote it, for people.
    name: String,
    client: oci_client::Client,
    http: reqwest::Client,
    auth: RegistryAuth,
    scheme: &'static str,
    pause: Duration,
}

/// What a reference stands for at present.
pub struct Resolved {
    /// Of the document that the reference names, index or manifest.
    pub digest: Digest,
    pub manifest: Manifest,
}

impl Registry {
    pub fn new(image: &ImageRef, limits: &Limits) -> Result<Self, Fault> {
        // The HTTP client takes the process' provider and panics without one. A second installation is refused: fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = image.registry();
        let (protocol, scheme) = if is_loopback(host) {
            (ClientProtocol::HttpsExcept(vec![host.to_owned()]), "http")
        } else {
            (ClientProtocol::Https, "https")
        };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(limits.connect_timeout),
            read_timeout: Some(limits.stall_timeout),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let failed = |error: &dyn std::error::Error| Fault::host("set up the registry client", error);
        let client = oci_client::Client::try_from(config).map_err(|error| failed(&error))?;
        let http = reqwest::Client::builder()
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.stall_timeout)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| failed(&error))?;
        let auth = match credentials::find(host) {
            Some(login) => RegistryAuth::Basic(login.user, login.password),
            None => RegistryAuth::Anonymous,
        };
        Ok(Self {
            reference: reference(image),
            name: host.to_owned(),
            client,
            http,
            auth,
            scheme,
            pause: limits.retry_pause,
        })
    }

    /// Asks for the manifest for this host; an index is followed to it.
    pub async fn resolve(&self, image: &ImageRef, here: &Platform) -> Result<Resolved, Fault> {
        let asked = match (image.digest(), image.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.unwrap_or("latest"),
        };
        let (mut bytes, digest) = self.document(asked, image.digest()).await?;
        for _ in 0..MAX_DEPTH {
            match manifest::parse(&bytes)? {
                Parsed::Manifest(manifest) => return Ok(Resolved { digest, manifest }),
                Parsed::Index(entries) => {
                    let entry = manifest::pick(&entries, here)?;
                    bytes = self.document(entry.digest.as_str(), Some(&entry.digest)).await?.0;
                }
            }
        }
        Err(Fault::invalid("its indexes lead to ever more indexes"))
    }

    async fn document(&self, asked: &str, expected: Option<&Digest>) -> Result<(Vec<u8>, Digest), Fault> {
        let token = self
            .client
            .auth(&self.reference, &self.auth, RegistryOperation::Pull)
            .await
            .map_err(|error| self.fault(&error))?;
        let host = self.reference.resolve_registry();
        let url = format!("{}://{host}/v2/{}/manifests/{asked}", self.scheme, self.reference.repository());
        let request = self.http.get(url).header("Accept", MANIFEST_TYPES.join(", "));
        let request = match (token, &self.auth) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
            (None, RegistryAuth::Anonymous | RegistryAuth::Bearer(_)) => request,
        };
        let mut response = request.send().await.map_err(|error| self.unreachable(&tapit_model::describe(&error)))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(self.not_found(asked)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied()),
            status => return Err(self.unreachable(&format!("it answered {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.unreachable(&tapit_model::describe(&error)))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_DOCUMENT {
                return Err(Fault::invalid(format!("its manifest has more than {MAX_DOCUMENT} bytes")));
            }
        }
        let digest = sha256(&bytes).ok_or_else(|| Fault::invalid("its manifest has no digest"))?;
        match expected {
            Some(expected) if *expected != digest => {
                Err(Fault::invalid(format!("the registry sent a manifest {digest} for {expected}")))
            }
            Some(_) | None => Ok((bytes, digest)),
        }
    }

    /// A small blob, in memory.
    pub async fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, Fault> {
        if blob.size > MAX_DOCUMENT {
            return Err(Fault::invalid(format!(
                "its configuration has {} bytes; at most {MAX_DOCUMENT} are allowed",
                blob.size
            )));
        }
        let mut bytes = Vec::new();
        self.stream(blob, |chunk| {
            bytes.extend_from_slice(&chunk);
            std::future::ready(Ok(()))
        })
        .await?;
        Ok(bytes)
    }

    /// Fetches a blob into a file, and tries again when the connection fails.
    pub async fn blob(&self, blob: &Descriptor, path: &Path) -> Result<(), Fault> {
        let mut attempt = 1;
        loop {
            match self.blob_once(blob, path).await {
                Err(fault) if fault.fault == ImageFault::Unreachable && attempt < ATTEMPTS => {
                    tokio::time::sleep(self.pause * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn blob_once(&self, blob: &Descriptor, path: &Path) -> Result<(), Fault> {
        let failed = |error: std::io::Error| Fault::host_at("write a layer to", path, &error);
        let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
        let shared = std::sync::Arc::new(tokio::sync::Mutex::new(&mut file));
        self.stream(blob, |chunk| {
            let file = shared.clone();
            async move { file.lock().await.write_all(&chunk).await.map_err(failed) }
        })
        .await?;
        drop(shared);
        file.flush().await.map_err(failed)
    }

    /// Hands the bytes of a blob to `sink`. The digest of all of them is verified by the stream's end; until then they
    /// are only stored.
    async fn stream<F>(&self, blob: &Descriptor, mut sink: impl FnMut(bytes::Bytes) -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<(), Fault>>,
    {
        self.client.store_auth_if_needed(self.reference.resolve_registry(), &self.auth).await;
        let stream = self.client.pull_blob_stream(&self.reference, blob.digest.as_str()).await;
        let mut stream = stream.map_err(|error| self.fault(&error))?.stream;
        let mut left = blob.size;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.broken(blob, &error))?;
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| {
                Fault::invalid(format!("the registry sent more than the {} bytes of {}", blob.size, blob.digest))
            })?;
            sink(chunk).await?;
        }
        if left > 0 {
            return Err(self.unreachable(&format!("{} ended {left} bytes early", blob.digest)));
        }
        Ok(())
    }

    /// A stream that ended in error: a wrong digest is the image's fault, anything else the connection's.
    fn broken(&self, blob: &Descriptor, error: &std::io::Error) -> Fault {
        let is_digest = error.get_ref().is_some_and(|inner| inner.is::<oci_client::errors::DigestError>());
        if is_digest {
            return Fault::invalid(format!("the registry sent other content for {}", blob.digest));
        }
        self.unreachable(&tapit_model::describe(error))
    }

    fn fault(&self, error: &OciDistributionError) -> Fault {
        match error {
            OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
                self.denied()
            }
            OciDistributionError::ServerError { code: 401 | 403, .. } => self.denied(),
            OciDistributionError::ServerError { code, .. } => self.unreachable(&format!("it answered {code}")),
            OciDistributionError::RegistryError { envelope, .. } => {
                use oci_client::errors::OciErrorCode as Code;
                let has = |codes: &[Code]| envelope.errors.iter().any(|error| codes.contains(&error.code));
                if has(&[Code::Denied, Code::Unauthorized]) {
                    return self.denied();
                }
                if has(&[Code::BlobUnknown, Code::ManifestUnknown, Code::NotFound, Code::NameUnknown]) {
                    return Fault::invalid(format!("the registry {} lacks a part of it", self.name));
                }
                self.unreachable(&envelope.to_string())
            }
            other => self.unreachable(&tapit_model::describe(other)),
        }
    }

    fn unreachable(&self, why: &str) -> Fault {
        Fault::new(ImageFault::Unreachable, format!("the registry {} cannot be reached: {why}", self.name))
    }

    fn denied(&self) -> Fault {
        Fault::new(
            ImageFault::Denied,
            format!("the registry {} has no such image, or wants a login (docker login {0})", self.name),
        )
    }

    fn not_found(&self, asked: &str) -> Fault {
        let repository = self.reference.repository();
        Fault::new(ImageFault::NotFound, format!("the registry {} has no {asked} of {repository}", self.name))
    }
}

fn reference(image: &ImageRef) -> Reference {
    let (registry, repository) = (image.registry().to_owned(), image.repository().to_owned());
    match image.digest() {
        Some(digest) => Reference::with_digest(registry, repository, digest.to_string()),
        None => Reference::with_tag(registry, repository, image.tag().unwrap_or("latest").to_owned()),
    }
}

/// Plain HTTP is for this host alone.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["docker.io", "localhost.evil.com", "127.0.0.1.evil.com:80", "10.0.0.1:5000", "128.0.0.1"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
