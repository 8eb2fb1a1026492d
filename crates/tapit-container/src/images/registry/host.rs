//! One registry, over all images: its connections, its logins, and how it is asked.
//!
//! A request carries what the registry wants to see. What it refuses is renewed once; what it cannot do now (429, 5xx)
//! is asked again after a rest, a few times. The rest of the meaning of an answer is the caller's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tapit_model::RegistrySettings;
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};

use super::super::Limits;
use super::super::credentials::{Docker, Login, Origin};
use super::super::error::Fault;
use super::challenge::{self, Challenge};
use super::pace::Pace;
use super::token::{self, Grant};
use super::wire::{Scheme, Wire, api_host, is_loopback};
use super::words::{self, Trouble};

/// Requests underway to one registry. Blobs are bounded more narrowly, over all registries.
const CONNECTIONS: usize = 8;
/// Of a request that the registry cannot answer now.
pub const ATTEMPTS: u32 = 3;
/// Scopes that are remembered; a token for another one costs a question.
const MAX_GRANTS: usize = 500;
/// Of what is only read for what it says about a refusal.
pub const MAX_REFUSAL: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Pull,
    Push,
}

/// What a login is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    pub repository: String,
    pub operation: Operation,
}

/// A request without a body.
pub struct Ask<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub scope: &'a Scope,
}

/// An answer; its connection counts until it is dropped.
pub struct Reply {
    pub response: Response,
    /// Of the login behind the request.
    pub origin: Option<Origin>,
    _permit: OwnedSemaphorePermit,
}

/// Where the login for a registry is looked for.
#[derive(Clone)]
pub enum Logins {
    /// In what is set for it, then where Docker keeps its own.
    Kept(Docker),
    /// In what is set alone, which somebody has got for this act.
    Given,
}

pub struct Host {
    /// As users write it.
    pub name: String,
    pub wire: Wire,
    pub limits: Limits,
    scheme: Scheme,
    settings: RegistrySettings,
    logins: Logins,
    connections: Arc<Semaphore>,
    /// Of its front door; asked for once.
    challenge: OnceCell<Option<Challenge>>,
    grants: Mutex<HashMap<Scope, Arc<Grant>>>,
}

impl Host {
    pub fn new(name: &str, settings: RegistrySettings, logins: Logins, limits: &Limits) -> Result<Self, Fault> {
        let scheme = if settings.plain_http || is_loopback(name) { Scheme::Http } else { Scheme::Https };
        Ok(Self {
            name: name.to_owned(),
            wire: Wire::new(name, limits)?,
            limits: limits.clone(),
            scheme,
            settings,
            logins,
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            challenge: OnceCell::new(),
            grants: Mutex::default(),
        })
    }

    pub fn is_plain(&self) -> bool {
        self.scheme == Scheme::Http
    }

    /// The address of something below `/v2/`.
    pub fn url(&self, path: &str) -> Result<Url, Fault> {
        let text = format!("{}://{}/v2/{path}", self.scheme.as_str(), api_host(&self.name));
        Url::parse(&text).map_err(|_| words::unreachable(&self.name, "its name is no address; write HOST or HOST:PORT"))
    }

    /// Whether an address that the registry named is its own, so that it may see the login.
    pub fn is_own(&self, url: &Url) -> bool {
        self.url("").is_ok_and(|own| own.origin() == url.origin())
    }

    /// What was set here goes before what Docker knows.
    pub async fn login(&self) -> Result<Option<Login>, Fault> {
        match (&self.logins, &self.settings.login) {
            (Logins::Kept(_), Some(login)) => Ok(Some(login.into())),
            (Logins::Kept(docker), None) => docker.find(&self.name).await,
            (Logins::Given, login) => Ok(login.as_ref().map(Login::given)),
        }
    }

    /// Asks, and asks again while the registry cannot answer now. Every other status is an answer.
    pub async fn ask(&self, asked: &Ask<'_>) -> Result<Reply, Trouble> {
        let mut attempt = 1;
        loop {
            let reply = self.ask_once(asked).await?;
            let status = reply.response.status();
            if !is_busy(status) {
                return Ok(reply);
            }
            let wanted = reply.response.headers().get(RETRY_AFTER).and_then(rest);
            let pause = wanted.unwrap_or(self.limits.retry_pause * attempt);
            if attempt == ATTEMPTS || pause > self.limits.longest_rest {
                return Err(words::busy(&self.name, status, wanted).into());
            }
            drop(reply);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ask_once(&self, asked: &Ask<'_>) -> Result<Reply, Trouble> {
        let permit = self.permit().await;
        let grant = self.grant(asked.scope).await?;
        let response = self.send(asked, grant.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            let origin = grant.and_then(|grant| grant.origin.clone());
            return Ok(Reply { response, origin, _permit: permit });
        }
        let challenge = challenge_of(&response);
        drop(response);
        let challenge = challenge.ok_or_else(|| words::denied(&self.name, asked.scope.operation, None, ""))?;
        let renewed = self.renew(asked.scope, grant.as_ref(), &challenge).await?;
        let mut response = self.send(asked, Some(&renewed)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let body = take(&self.name, &mut response, MAX_REFUSAL).await.unwrap_or_default();
            let (origin, said) = (renewed.origin.as_ref(), words::said(&body));
            return Err(words::denied(&self.name, asked.scope.operation, origin, &said).into());
        }
        Ok(Reply { response, origin: renewed.origin.clone(), _permit: permit })
    }

    async fn send(&self, asked: &Ask<'_>, grant: Option<&Grant>) -> Result<Response, Trouble> {
        let request = self.wire.follow.request(asked.method.clone(), asked.url.clone());
        let request = asked.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        token::with(grant, request).send().await.map_err(|error| words::connection(&self.name, error))
    }

    /// Sends a body, which can be sent only once: nothing is asked again, no redirect is followed.
    pub async fn upload(&self, url: Url, scope: &Scope, body: Upload) -> Result<Reply, Trouble> {
        let permit = self.permit().await;
        let grant = if self.is_own(&url) { self.grant(scope).await? } else { None };
        let request = self.wire.still.request(Method::PUT, url).header(CONTENT_TYPE, body.media_type);
        let request = request.header(reqwest::header::CONTENT_LENGTH, body.length).body(body.body);
        let response = token::with(grant.as_deref(), request)
            .send()
            .await
            .map_err(|error| words::connection(&self.name, error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // Whoever tries again gets another one.
            self.grants.lock().await.remove(scope);
        }
        Ok(Reply { response, origin: grant.and_then(|grant| grant.origin.clone()), _permit: permit })
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        match self.connections.clone().acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// What is held for a scope, or what the front door asks for.
    async fn grant(&self, scope: &Scope) -> Result<Option<Arc<Grant>>, Trouble> {
        if let Some(grant) = self.grants.lock().await.get(scope).filter(|grant| grant.is_fresh()) {
            return Ok(Some(grant.clone()));
        }
        match self.challenge.get_or_try_init(|| self.knock()).await? {
            Some(challenge) => Ok(Some(self.renew(scope, None, challenge).await?)),
            None => Ok(None),
        }
    }

    /// Asks the front door what it wants to see. Some registries answer what is private as if it were not there, and
    /// say only here that they know logins.
    async fn knock(&self) -> Result<Option<Challenge>, Trouble> {
        let request = self.wire.follow.get(self.url("")?);
        let response = request.send().await.map_err(|error| words::connection(&self.name, error))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Ok(challenge_of(&response)),
            status if is_busy(status) => {
                let wanted = response.headers().get(RETRY_AFTER).and_then(rest);
                Err(Trouble::broken(words::busy(&self.name, status, wanted)))
            }
            // A mirror may have no front door.
            _ => Ok(None),
        }
    }

    /// Replaces what was refused, unless another request has done so meanwhile.
    async fn renew(
        &self,
        scope: &Scope,
        refused: Option<&Arc<Grant>>,
        challenge: &Challenge,
    ) -> Result<Arc<Grant>, Trouble> {
        let mut grants = self.grants.lock().await;
        if let Some(other) = grants.get(scope).filter(|grant| grant.is_fresh())
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, other))
        {
            return Ok(other.clone());
        }
        let granted = Arc::new(token::grant(self, challenge, scope).await?);
        grants.retain(|_, grant| grant.is_fresh());
        if grants.len() >= MAX_GRANTS {
            grants.clear();
        }
        grants.insert(scope.clone(), granted.clone());
        Ok(granted)
    }
}

/// What `upload` sends.
pub struct Upload {
    pub media_type: HeaderValue,
    pub length: u64,
    pub body: Body,
}

/// What will be answered otherwise soon.
pub fn is_busy(status: StatusCode) -> bool {
    let code = status.as_u16();
    matches!(code, 408 | 429 | 500 | 502 | 503 | 504)
}

fn challenge_of(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    challenge::choose(headers.filter_map(|value| value.to_str().ok()))
}

/// How long a registry asks to be left alone: seconds, or a date.
pub(super) fn rest(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    date.duration_since(jiff::Timestamp::now()).try_into().ok()
}

/// A body of at most `max` bytes, in memory; more of it is left unread.
pub async fn take(name: &str, response: &mut Response, max: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words::connection(name, error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > max {
            break;
        }
    }
    Ok(bytes)
}

/// The next bytes of a body, if the registry keeps up its speed.
pub async fn paced(host: &Host, response: &mut Response, pace: &mut Pace) -> Result<Option<bytes::Bytes>, Trouble> {
    let asked = tokio::time::Instant::now();
    let came = match tokio::time::timeout(pace.left(), response.chunk()).await {
        Ok(Ok(chunk)) => chunk,
        Ok(Err(error)) => return Err(words::connection(&host.name, error)),
        Err(_) => Some(bytes::Bytes::new()),
    };
    let Some(chunk) = came else { return Ok(None) };
    match pace.note(asked.elapsed(), chunk.len()) {
        Ok(()) => Ok(Some(chunk)),
        Err(slow) => Err(words::slow(&host.name, slow).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest_of(text: &str) -> Option<Duration> {
        rest(&HeaderValue::from_str(text).expect("a header"))
    }

    #[test]
    fn a_registry_asks_for_rest_in_seconds_or_until_a_date() {
        assert_eq!(rest_of(" 120 "), Some(Duration::from_secs(120)));
        let far = rest_of("Fri, 01 Jan 2100 00:00:00 GMT").expect("a date");
        assert!(far > Duration::from_secs(1_000_000_000), "{far:?}");
        for none in ["", "soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(rest_of(none), None, "{none}");
        }
    }

    #[test]
    fn only_its_own_addresses_see_the_login_of_a_registry() {
        let host = Host::new(
            "127.0.0.1:5000",
            RegistrySettings::default(),
            Logins::Kept(Docker::default()),
            &Limits::default(),
        );
        let host = host.expect("a host");
        let own = |text: &str| host.is_own(&Url::parse(text).expect("an address"));
        assert!(own("http://127.0.0.1:5000/v2/app/blobs/uploads/1?state=x"));
        for other in
            ["https://127.0.0.1:5000/", "http://127.0.0.1:5001/", "http://127.0.0.1/", "http://127.0.0.1.evil:5000/"]
        {
            assert!(!own(other), "{other}");
        }
    }
}
