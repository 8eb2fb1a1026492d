//! The default VPC, its subnets, and security groups.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::{Answered, Refusal};
use super::setup::Setup;
use super::world::World;
use crate::api::{Answer, IngressFrom, Network, Subnet, SubnetsOf};

pub(super) const DEFAULT_VPC: &str = "vpc-0d0d0d0d";

#[derive(Debug, Clone)]
pub(super) struct Networks {
    /// `None`: somebody has deleted it.
    pub default_vpc: Option<String>,
    pub subnets: BTreeMap<String, Subnet>,
    pub groups: BTreeMap<String, SecurityGroup>,
}

#[derive(Debug, Clone)]
pub(super) struct SecurityGroup {
    pub name: String,
    vpc: String,
    ingress: BTreeSet<String>,
    /// Other groups that its rules name.
    names: BTreeSet<String>,
}

impl Networks {
    pub fn of(setup: &Setup) -> Self {
        let subnet = |zone: char| {
            let id = format!("subnet-0{zone}0{zone}0{zone}0{zone}");
            let zone = format!("{}{zone}", setup.region);
            (id.clone(), Subnet { id, vpc: DEFAULT_VPC.to_owned(), zone, public: true })
        };
        let subnets = ['a', 'b', 'c'].map(subnet).into();
        Self { default_vpc: Some(DEFAULT_VPC.to_owned()), subnets, groups: BTreeMap::new() }
    }
}

impl World {
    pub fn describe_default_vpc(&self) -> Answered {
        Ok(Answer::Names { names: self.networks.default_vpc.iter().cloned().collect(), next: None })
    }

    pub fn describe_subnets(&self, of: &SubnetsOf) -> Answered {
        let subnets = match of {
            SubnetsOf::Vpc(vpc) => self.networks.subnets.values().filter(|one| one.vpc == *vpc).cloned().collect(),
            SubnetsOf::Ids(ids) => ids.iter().map(|id| self.subnet(id).cloned()).collect::<Result<_, _>>()?,
        };
        Ok(Answer::Subnets(subnets))
    }

    fn subnet(&self, id: &str) -> Result<&Subnet, Refusal> {
        let missing =
            || Refusal::not_found("InvalidSubnetID.NotFound", format_args!("The subnet ID '{id}' does not exist"));
        self.networks.subnets.get(id).ok_or_else(missing)
    }

    pub fn create_security_group(&mut self, name: &str, vpc: &str) -> Answered {
        let legal = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        if name.is_empty() || name.len() > 255 || name.starts_with("sg-") || !name.chars().all(legal) {
            return Err(Refusal::validation(format_args!("groupName {name:?} is no name for a group")));
        }
        if !self.networks.subnets.values().any(|subnet| subnet.vpc == vpc) {
            let text = format_args!("The vpc ID '{vpc}' does not exist");
            return Err(Refusal::not_found("InvalidVpcID.NotFound", text));
        }
        if self.networks.groups.values().any(|group| group.name == name && group.vpc == vpc) {
            let text = format_args!("The security group '{name}' already exists for VPC '{vpc}'");
            return Err(Refusal::exists("InvalidGroup.Duplicate", text));
        }
        let id = format!("sg-{}", self.name(17));
        let (ingress, names) = (BTreeSet::new(), BTreeSet::new());
        let group = SecurityGroup { name: name.to_owned(), vpc: vpc.to_owned(), ingress, names };
        self.networks.groups.insert(id.clone(), group);
        Ok(Answer::Id(id))
    }

    pub fn describe_security_group(&self, name: &str, vpc: &str) -> Answered {
        let found = self.networks.groups.iter().filter(|(_, group)| group.name == name && group.vpc == vpc);
        Ok(Answer::Names { names: found.map(|(id, _)| id.clone()).collect(), next: None })
    }

    pub fn authorize_ingress(&mut self, id: &str, from: &IngressFrom) -> Answered {
        let (rule, other) = match from {
            IngressFrom::Itself => (format!("tcp from {id}"), None),
            IngressFrom::Group(other) => (format!("tcp from {other}"), Some(other.clone())),
            IngressFrom::World { port } => (format!("tcp {port} from 0.0.0.0/0"), None),
        };
        for group in other.iter().map(String::as_str).chain([id]) {
            self.networks.groups.get(group).ok_or_else(|| no_group(group))?;
        }
        if let Some(group) = self.networks.groups.get_mut(id) {
            group.ingress.insert(rule);
            group.names.extend(other);
        }
        Ok(Answer::Done)
    }

    pub fn delete_security_group(&mut self, id: &str) -> Answered {
        let named = self.networks.groups.iter().any(|(other, group)| other != id && group.names.contains(id));
        let balancing = self.balancers.balancers.values().any(|one| one.security_groups.iter().any(|one| one == id));
        let has = |network: &Network| network.security_groups.iter().any(|one| one == id);
        if named || balancing || self.tasks.values().any(|task| !task.is_over() && has(&task.network)) {
            let text = format_args!("resource {id} has a dependent object");
            return Err(Refusal::in_use("DependencyViolation", text));
        }
        self.networks.groups.remove(id);
        Ok(Answer::Done)
    }

    /// What a service is to run in.
    pub fn check_network(&self, network: &Network) -> Result<(), Refusal> {
        if network.subnets.is_empty() || network.subnets.len() > 16 {
            return Err(Refusal::invalid("subnets can not be empty, nor more than 16."));
        }
        if network.security_groups.len() > 5 {
            return Err(Refusal::invalid("securityGroup can have at most 5 items."));
        }
        for id in &network.subnets {
            if self.subnet(id).is_err() {
                return Err(Refusal::invalid(format_args!("The subnet ID '{id}' does not exist")));
            }
        }
        match network.security_groups.iter().find(|id| !self.networks.groups.contains_key(*id)) {
            Some(id) => Err(Refusal::invalid(format_args!("The security group '{id}' does not exist"))),
            None => Ok(()),
        }
    }
}

pub(super) fn no_group(id: &str) -> Refusal {
    Refusal::not_found("InvalidGroup.NotFound", format_args!("The security group '{id}' does not exist"))
}
