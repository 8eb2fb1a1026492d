//! Calls of ECR: where an image of ours goes, and the way to log in there.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::wire::{Service, Wire};
use super::{gone, lacking};
use crate::api::{Answer, ApiError, ApiFault, Operation, RegistryLogin, Tags};

#[derive(Debug)]
pub struct Ecr {
    wire: Arc<Wire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    repository_uri: String,
}

#[derive(Deserialize)]
struct Created {
    repository: Repository,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorized {
    #[serde(default)]
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
    proxy_endpoint: String,
}

impl Ecr {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Two calls where it is there already: ECR says so without saying where.
    pub async fn create_repository(&self, name: String, tags: Tags) -> Result<Answer, ApiError> {
        let operation = Operation::CreateRepository;
        let mut body = json!({ "repositoryName": name });
        if !tags.is_empty() {
            body["tags"] = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        }
        match self.send::<Created>(operation, "CreateRepository", body).await {
            Ok(created) => Ok(Answer::Id(created.repository.repository_uri)),
            Err(error) if error.fault == ApiFault::AlreadyExists => {
                let body = json!({ "repositoryNames": [name] });
                let found = self.send::<Described>(operation, "DescribeRepositories", body).await?.repositories.pop();
                let found = found.ok_or_else(|| lacking(operation, "the repository"))?;
                Ok(Answer::Id(found.repository_uri))
            }
            Err(error) => Err(error),
        }
    }

    pub async fn delete_repository(&self, name: String) -> Result<Answer, ApiError> {
        let body = json!({ "repositoryName": name, "force": true });
        gone(self.send::<IgnoredAny>(Operation::DeleteRepository, "DeleteRepository", body).await.map(drop))
    }

    pub async fn login(&self) -> Result<Answer, ApiError> {
        let operation = Operation::GetAuthorizationToken;
        let answer: Authorized = self.send(operation, "GetAuthorizationToken", json!({})).await?;
        let given = answer.authorization_data.into_iter().next();
        let login = given.as_ref().and_then(login).ok_or_else(|| lacking(operation, "a way to log in"))?;
        Ok(Answer::Login(match self.wire.emulated(Service::Ecr) {
            Some(host) => at(host, login),
            None => login,
        }))
    }

    async fn send<A: DeserializeOwned>(&self, operation: Operation, action: &str, body: Value) -> Result<A, ApiError> {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{action}");
        self.wire.json((operation, Service::Ecr), &target, body).await
    }
}

/// An emulator names AWS's own registry, and is the registry itself.
fn at(host: &str, login: RegistryLogin) -> RegistryLogin {
    RegistryLogin { host: host.to_owned(), plain_http: true, ..login }
}

/// The token is `USER:PASSWORD` in base64, as HTTP has it.
fn login(from: &Authorization) -> Option<RegistryLogin> {
    let token = String::from_utf8(STANDARD.decode(&from.authorization_token).ok()?).ok()?;
    let (username, password) = token.split_once(':')?;
    let (plain_http, host) = match from.proxy_endpoint.split_once("://") {
        Some(("http", host)) => (true, host),
        Some((_, host)) => (false, host),
        None => (false, from.proxy_endpoint.as_str()),
    };
    Some(RegistryLogin {
        host: host.trim_end_matches('/').to_owned(),
        plain_http,
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_becomes_a_login_and_nonsense_does_not() {
        let of = |token: &str, endpoint: &str| {
            login(&Authorization { authorization_token: token.to_owned(), proxy_endpoint: endpoint.to_owned() })
        };
        let found = of(&STANDARD.encode("AWS:a:b"), "https://1.dkr.ecr.eu-west-1.amazonaws.com").expect("a login");
        assert_eq!((found.username.as_str(), found.password.as_str()), ("AWS", "a:b"));
        assert_eq!((found.host.as_str(), found.plain_http), ("1.dkr.ecr.eu-west-1.amazonaws.com", false));
        let found = of(&STANDARD.encode("AWS:a"), "http://127.0.0.1:4566/").expect("a login");
        assert_eq!((found.host.as_str(), found.plain_http), ("127.0.0.1:4566", true));
        let aws = of(&STANDARD.encode("AWS:a"), "https://1.dkr.ecr.eu-west-1.amazonaws.com").expect("a login");
        let moved = at("127.0.0.1:4566", aws);
        assert_eq!((moved.host.as_str(), moved.plain_http, moved.password.as_str()), ("127.0.0.1:4566", true, "a"));
        assert!(of("%", "https://x").is_none() && of(&STANDARD.encode("AWS"), "https://x").is_none());
    }
}
