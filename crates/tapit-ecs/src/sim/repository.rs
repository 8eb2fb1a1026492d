//! Repositories of the account's registry.

use std::collections::BTreeSet;

use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::{Answer, RegistryLogin};

#[derive(Debug, Clone, Default)]
pub(super) struct Repositories {
    pub names: BTreeSet<String>,
    /// Where the registry is said to be, instead of where AWS has it.
    pub host: Option<String>,
}

impl World {
    pub fn create_repository(&mut self, name: &str) -> Answered {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let parts_legal = name.split('/').all(|part| {
            part.chars().all(legal)
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        });
        if !(2..=256).contains(&name.len()) || !parts_legal {
            return Err(Refusal::invalid(format_args!("Invalid parameter at 'repositoryName': {name:?}")));
        }
        self.repositories.names.insert(name.to_owned());
        Ok(Answer::Id(format!("{}/{name}", self.registry_host())))
    }

    pub fn delete_repository(&mut self, name: &str) -> Answered {
        self.repositories.names.remove(name);
        Ok(Answer::Done)
    }

    pub fn registry_login(&self) -> Answered {
        Ok(Answer::Login(RegistryLogin {
            host: self.registry_host(),
            plain_http: self.repositories.host.is_some(),
            username: "AWS".to_owned(),
            password: "of-the-day".to_owned(),
        }))
    }

    fn registry_host(&self) -> String {
        let aws = || format!("{}.dkr.ecr.{}.amazonaws.com", self.setup.account, self.setup.region);
        self.repositories.host.clone().unwrap_or_else(aws)
    }
}
