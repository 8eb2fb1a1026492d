//! Calls of EC2: subnets and security groups.

use std::sync::Arc;

use super::wire::{Form, Record, Service, Wanted, Wire};
use super::{gone, lacking, there};
use crate::api::{Answer, ApiError, IngressFrom, Operation, Subnet, SubnetsOf, Tags};

/// Of the API; the only one that there has been for years.
const VERSION: &str = "2016-11-15";

#[derive(Debug)]
pub struct Ec2 {
    wire: Arc<Wire>,
}

#[derive(Debug)]
pub struct NewGroup {
    pub name: String,
    pub vpc: String,
    pub description: String,
    pub tags: Tags,
}

impl Ec2 {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    pub async fn default_vpc(&self) -> Result<Answer, ApiError> {
        let form = filter(action("DescribeVpcs"), 1, ("is-default", "true"));
        let wanted = Wanted { path: &["vpcSet", "item"], fields: &["vpcId"] };
        names(self.send(Operation::DescribeVpcs, form, wanted).await?, "vpcId")
    }

    pub async fn subnets(&self, of: SubnetsOf) -> Result<Answer, ApiError> {
        let operation = Operation::DescribeSubnets;
        let form = action("DescribeSubnets");
        let form = match of {
            SubnetsOf::Vpc(vpc) => filter(form, 1, ("vpc-id", &vpc)),
            SubnetsOf::Ids(ids) => form.list("SubnetId", ids),
        };
        let fields = &["subnetId", "vpcId", "availabilityZone", "mapPublicIpOnLaunch"];
        let found = self.send(operation, form, Wanted { path: &["subnetSet", "item"], fields }).await?;
        let subnet = |record: &Record| {
            Some(Subnet {
                id: record.text("subnetId")?.to_owned(),
                vpc: record.text("vpcId")?.to_owned(),
                zone: record.text("availabilityZone").unwrap_or_default().to_owned(),
                public: record.text("mapPublicIpOnLaunch") == Some("true"),
            })
        };
        let subnets = found.iter().map(|record| subnet(record).ok_or_else(|| lacking(operation, "a subnet's id")));
        Ok(Answer::Subnets(subnets.collect::<Result<_, _>>()?))
    }

    pub async fn create_group(&self, new: NewGroup) -> Result<Answer, ApiError> {
        let operation = Operation::CreateSecurityGroup;
        let form = action("CreateSecurityGroup")
            .with("GroupName", new.name)
            .with("GroupDescription", new.description)
            .with("VpcId", new.vpc);
        let form = if new.tags.is_empty() {
            form
        } else {
            form.with("TagSpecification.1.ResourceType", "security-group").tags("TagSpecification.1.Tag", &new.tags)
        };
        let made = self.send(operation, form, Wanted { path: &[], fields: &["groupId"] }).await?;
        let id = made.first().and_then(|record| record.text("groupId"));
        id.map(|id| Answer::Id(id.to_owned())).ok_or_else(|| lacking(operation, "the group's id"))
    }

    pub async fn group(&self, name: String, vpc: String) -> Result<Answer, ApiError> {
        let form = filter(action("DescribeSecurityGroups"), 1, ("group-name", &name));
        let form = filter(form, 2, ("vpc-id", &vpc));
        let wanted = Wanted { path: &["securityGroupInfo", "item"], fields: &["groupId"] };
        names(self.send(Operation::DescribeSecurityGroups, form, wanted).await?, "groupId")
    }

    pub async fn authorize(&self, group: String, from: IngressFrom) -> Result<Answer, ApiError> {
        let form = action("AuthorizeSecurityGroupIngress").with("GroupId", &group);
        let form = form.with("IpPermissions.1.IpProtocol", "tcp");
        let (first, last) = match from {
            IngressFrom::Itself | IngressFrom::Group(_) => (0, u16::MAX),
            IngressFrom::World { port } => (port, port),
        };
        let form = form.with("IpPermissions.1.FromPort", first.to_string());
        let form = form.with("IpPermissions.1.ToPort", last.to_string());
        let form = match from {
            IngressFrom::Itself => form.with("IpPermissions.1.Groups.1.GroupId", group),
            IngressFrom::Group(other) => form.with("IpPermissions.1.Groups.1.GroupId", other),
            IngressFrom::World { .. } => form.with("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
        };
        there(self.send(Operation::AuthorizeIngress, form, Wanted::NOTHING).await.map(drop))
    }

    pub async fn delete_group(&self, group: String) -> Result<Answer, ApiError> {
        let form = action("DeleteSecurityGroup").with("GroupId", group);
        gone(self.send(Operation::DeleteSecurityGroup, form, Wanted::NOTHING).await.map(drop))
    }

    async fn send(&self, operation: Operation, form: Form, wanted: Wanted) -> Result<Vec<Record>, ApiError> {
        self.wire.form((operation, Service::Ec2), form, wanted).await
    }
}

fn action(name: &str) -> Form {
    Form::new(name, VERSION)
}

fn filter(form: Form, number: u8, (name, value): (&str, &str)) -> Form {
    form.with(format!("Filter.{number}.Name"), name).with(format!("Filter.{number}.Value.1"), value)
}

fn names(found: Vec<Record>, field: &'static str) -> Result<Answer, ApiError> {
    let names = found.iter().filter_map(|record| record.text(field)).map(ToOwned::to_owned).collect();
    Ok(Answer::Names { names, next: None })
}
