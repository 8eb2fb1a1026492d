//! Roles.

use super::refusal::{Answered, Refusal};
use super::world::World;
use crate::api::Answer;

#[derive(Debug, Clone, Default)]
pub(super) struct Role {
    pub execution_policy: bool,
}

impl World {
    pub fn get_role(&self, name: &str) -> Answered {
        self.roles.get(name).ok_or_else(|| missing(name))?;
        Ok(Answer::Id(self.role_arn(name)))
    }

    pub fn create_role(&mut self, name: &str) -> Answered {
        let legal = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return Err(Refusal::validation(format_args!("roleName {name:?} is no name for a role")));
        }
        if self.roles.contains_key(name) {
            return Err(Refusal::exists("EntityAlreadyExists", format_args!("Role with name {name} already exists.")));
        }
        self.roles.insert(name.to_owned(), Role::default());
        Ok(Answer::Id(self.role_arn(name)))
    }

    pub fn attach_execution_policy(&mut self, name: &str) -> Answered {
        self.roles.get_mut(name).ok_or_else(|| missing(name))?.execution_policy = true;
        Ok(Answer::Done)
    }

    pub fn detach_execution_policy(&mut self, name: &str) -> Answered {
        let role = self.roles.get_mut(name).ok_or_else(|| missing(name))?;
        if !std::mem::take(&mut role.execution_policy) {
            return Err(Refusal::not_found("NoSuchEntity", "Policy AmazonECSTaskExecutionRolePolicy was not found."));
        }
        Ok(Answer::Done)
    }

    pub fn delete_role(&mut self, name: &str) -> Answered {
        if self.roles.get(name).is_some_and(|role| role.execution_policy) {
            return Err(Refusal::in_use("DeleteConflict", "Cannot delete entity, must detach all policies first."));
        }
        self.roles.remove(name);
        Ok(Answer::Done)
    }

    fn role_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.setup.account)
    }

    /// Whether ECS can take on a role of this account and pull images and write logs with it.
    pub fn executes(&self, arn: &str) -> bool {
        let prefix = format!("arn:aws:iam::{}:role/", self.setup.account);
        arn.strip_prefix(&prefix).and_then(|name| self.roles.get(name)).is_some_and(|role| role.execution_policy)
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::not_found("NoSuchEntity", format_args!("The role with name {name} cannot be found."))
}
