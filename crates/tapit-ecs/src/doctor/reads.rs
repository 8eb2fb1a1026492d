//! What can be tried without changing anything: reading. A permission that is not needed for what is read is not shown by
//! it, but one that lacks is, whatever takes it away: policies, boundaries, the organization.

use crate::api::{ApiError, ApiFault, EcsApi, LogEventsOf, LogFrom, Operation, Request, SubnetsOf};

/// Nothing has this name, so AWS answers that it is not there, to whoever may know.
const NOTHING: &str = "tapit-doctor";

/// What came of the reading.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub allowed: Vec<Operation>,
    pub denied: Vec<Operation>,
    /// What AWS did not answer, with its last words.
    pub unknown: Vec<ApiError>,
}

pub async fn tried(api: &dyn EcsApi) -> Reads {
    let mut reads = Reads::default();
    for request in requests() {
        let operation = request.operation();
        match api.call(request).await {
            Ok(_) => reads.allowed.push(operation),
            Err(error) => match error.fault {
                ApiFault::Denied => reads.denied.push(operation),
                // Whoever is told what is wrong with a request was allowed to make it.
                ApiFault::NotFound
                | ApiFault::Invalid
                | ApiFault::AlreadyExists
                | ApiFault::InUse
                | ApiFault::NotActive
                | ApiFault::Quota
                | ApiFault::Capacity => reads.allowed.push(operation),
                ApiFault::Throttled | ApiFault::Unavailable | ApiFault::Credentials => reads.unknown.push(error),
            },
        }
    }
    reads
}

fn requests() -> Vec<Request> {
    let nothing = || NOTHING.to_owned();
    let stream = LogEventsOf {
        group: "/tapit/doctor".to_owned(),
        stream: nothing(),
        after: LogFrom::Start,
        since: None,
        limit: 1,
    };
    vec![
        Request::ListClusters { next: None },
        Request::ListServices { cluster: nothing(), next: None },
        Request::DescribeServices { cluster: nothing(), services: vec![nothing()] },
        Request::ListTaskDefinitions { family: nothing(), next: None },
        Request::DescribeTaskDefinition { name: nothing() },
        Request::DescribeSubnets(SubnetsOf::Vpc("vpc-00000000".to_owned())),
        Request::DescribeSecurityGroup { name: nothing(), vpc: "vpc-00000000".to_owned() },
        Request::DescribeLoadBalancer(crate::api::LoadBalancerBy::Name(nothing())),
        Request::DescribeTargetGroup { name: nothing() },
        Request::GetLogEvents(stream),
        Request::GetRole { name: nothing() },
        Request::RegistryLogin,
    ]
}
