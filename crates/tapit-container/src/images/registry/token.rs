//! Gets what a registry wants to see with each request: a token of its token service, or a password.
//!
//! A password goes to the registry itself, or to the token service that it names; to that in plain HTTP only if the
//! registry is spoken to so as well.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::super::credentials::{Login, Origin, Secret};
use super::super::error::Fault;
use super::challenge::Challenge;
use super::host::{Host, Operation, Scope, is_busy, take};
use super::words::{self, Trouble};

/// What a token service may answer with.
const MAX_ANSWER: usize = 1 << 20;
/// Of a token that says nothing about it.
const LIFETIME: u64 = 60;
/// A token is not used up to its last second.
const MARGIN: u64 = 5;

pub enum Pass {
    Basic { user: String, password: String },
    Bearer(String),
}

/// What lets requests of one scope through.
pub struct Grant {
    pub pass: Pass,
    /// `None`: as long as it is not refused.
    until: Option<Instant>,
    /// Of the login behind it; `None` for what everybody is given.
    pub origin: Option<Origin>,
}

impl Grant {
    pub fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// A request with what lets it through, if anything is wanted.
pub fn with(grant: Option<&Grant>, request: RequestBuilder) -> RequestBuilder {
    match grant.map(|grant| &grant.pass) {
        Some(Pass::Basic { user, password }) => request.basic_auth(user, Some(password)),
        Some(Pass::Bearer(token)) => request.bearer_auth(token),
        None => request,
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Answers a challenge.
pub async fn grant(host: &Host, challenge: &Challenge, scope: &Scope) -> Result<Grant, Trouble> {
    let login = host.login().await?;
    let origin = login.as_ref().map(|login| login.origin.clone());
    match (challenge, login) {
        (Challenge::Basic, Some(Login { secret: Secret::Password { user, password }, .. })) => {
            Ok(Grant { pass: Pass::Basic { user, password }, until: None, origin })
        }
        (Challenge::Basic, _) => Err(words::denied(&host.name, scope.operation, origin.as_ref(), "").into()),
        (Challenge::Bearer { realm, service }, login) => {
            let realm = realm_of(host, realm)?;
            let request = ask(host, realm, (service.as_deref(), scope), login.as_ref());
            let (token, lifetime) = token(host, request, (scope.operation, origin.as_ref())).await?;
            let until = Instant::now().checked_add(Duration::from_secs(lifetime.saturating_sub(MARGIN)));
            Ok(Grant { pass: Pass::Bearer(token), until, origin })
        }
    }
}

fn realm_of(host: &Host, realm: &str) -> Result<Url, Fault> {
    let wrong = |what: &str| {
        words::unreachable(&host.name, &format!("its token service has the address {realm:?}, which {what}"))
    };
    let url = Url::parse(realm).map_err(|_| wrong("is none"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if host.is_plain() => Ok(url),
        _ => Err(wrong("is not safe for a login")),
    }
}

fn ask(host: &Host, realm: Url, about: (Option<&str>, &Scope), login: Option<&Login>) -> RequestBuilder {
    let (service, scope) = about;
    let actions = match scope.operation {
        Operation::Pull => "pull",
        Operation::Push => "pull,push",
    };
    let scope = format!("repository:{}:{actions}", scope.repository);
    let mut pairs = vec![("scope", scope.as_str())];
    pairs.extend(service.map(|service| ("service", service)));
    match login.map(|login| &login.secret) {
        Some(Secret::IdentityToken(token)) => {
            pairs.extend([("grant_type", "refresh_token"), ("client_id", "tapit"), ("refresh_token", token)]);
            let request = host.wire.still.request(Method::POST, realm);
            request.header("Content-Type", "application/x-www-form-urlencoded").body(form(&pairs))
        }
        secret => {
            let mut realm = realm;
            realm.query_pairs_mut().extend_pairs(&pairs);
            let request = host.wire.still.request(Method::GET, realm);
            match secret {
                Some(Secret::Password { user, password }) => request.basic_auth(user, Some(password)),
                Some(Secret::IdentityToken(_)) | None => request,
            }
        }
    }
}

/// The pairs as a form, encoded as in an address.
fn form(pairs: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("http://form/") else { return String::new() };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// The token and for how many seconds it is good.
async fn token(
    host: &Host,
    request: RequestBuilder,
    about: (Operation, Option<&Origin>),
) -> Result<(String, u64), Trouble> {
    let limit = host.limits.stall_timeout;
    let answered = tokio::time::timeout(limit, async {
        let mut response = request.send().await.map_err(|error| words::connection(&host.name, error))?;
        let body = take(&host.name, &mut response, MAX_ANSWER).await?;
        Ok::<_, Trouble>((response, body))
    });
    let (response, body) = answered.await.map_err(|_| words::stalled(&host.name, limit))??;
    check(host, &response, &words::said(&body), about)?;
    let nonsense = || words::unreachable(&host.name, "its token service answered nonsense instead of a token");
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| nonsense())?;
    let token = answer.token.or(answer.access_token).filter(|token| is_printable(token)).ok_or_else(nonsense)?;
    Ok((token, answer.expires_in.unwrap_or(LIFETIME)))
}

/// A token becomes part of a header.
fn is_printable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn check(
    host: &Host,
    response: &Response,
    said: &str,
    (operation, origin): (Operation, Option<&Origin>),
) -> Result<(), Trouble> {
    let answered =
        |hint: &str| words::unreachable(&host.name, &format!("its token service answered {}{hint}", response.status()));
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(words::denied(&host.name, operation, origin, said).into())
        }
        // An identity token that is no longer good.
        StatusCode::BAD_REQUEST if origin.is_some() => Err(words::denied(&host.name, operation, origin, said).into()),
        status if is_busy(status) => Err(Trouble::broken(answered("; try again later"))),
        _ => Err(answered("").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(
            form(&[("scope", "repository:a/b:pull,push"), ("x", "a&b=c d")]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush&x=a%26b%3Dc+d"
        );
    }

    #[test]
    fn a_token_that_would_break_a_header_is_none() {
        assert!(is_printable("eyJ.a-b_c="));
        for bad in ["", "a b", "a\r\nX: y", "ä"] {
            assert!(!is_printable(bad), "{bad:?}");
        }
    }
}
