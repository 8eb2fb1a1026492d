//! Where a service answers, and what for its calls are signed.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::super::config::ConnectError;
use super::super::partition::{self, Partition};

/// A service whose calls are written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Ec2,
    Iam,
    Logs,
    Ecr,
}

impl Service {
    const ALL: [Service; 4] = [Service::Ec2, Service::Iam, Service::Logs, Service::Ecr];

    /// As `AWS_ENDPOINT_URL_…` and profiles name it, with underscores for spaces.
    fn id(self) -> &'static str {
        match self {
            Service::Ec2 => "EC2",
            Service::Iam => "IAM",
            Service::Logs => "CloudWatch Logs",
            Service::Ecr => "ECR",
        }
    }

    fn signed_as(self) -> &'static str {
        match self {
            Service::Ec2 => "ec2",
            Service::Iam => "iam",
            Service::Logs => "logs",
            Service::Ecr => "ecr",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// With a path, which is always the root.
    pub url: String,
    pub region: String,
    pub signed_as: &'static str,
}

#[derive(Debug)]
pub struct Endpoints {
    region: String,
    ec2: Endpoint,
    iam: Endpoint,
    logs: Endpoint,
    ecr: Endpoint,
}

/// What the environment and profiles say about where services are.
#[derive(Debug, Default)]
struct Known {
    region: String,
    fips: Fips,
    /// For all services, then for some.
    url: Option<String>,
    urls: BTreeMap<Service, String>,
}

/// Whether only endpoints with validated cryptography will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fips {
    #[default]
    Indifferent,
    Wanted,
}

impl Endpoints {
    pub fn new(config: &SdkConfig) -> Result<Self, ConnectError> {
        let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
        let url_of = |service: Service| {
            let key = ServiceConfigKey::builder()
                .service_id(service.id())
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .ok()?;
            config.service_config()?.load_config(key).map(|url| (service, url))
        };
        let known = Known {
            region,
            fips: if config.use_fips() == Some(true) { Fips::Wanted } else { Fips::Indifferent },
            url: config.endpoint_url().map(ToOwned::to_owned),
            urls: Service::ALL.into_iter().filter_map(url_of).collect(),
        };
        Ok(Self::of_known(known))
    }

    fn of_known(known: Known) -> Self {
        Self {
            ec2: known.endpoint(Service::Ec2),
            iam: known.endpoint(Service::Iam),
            logs: known.endpoint(Service::Logs),
            ecr: known.endpoint(Service::Ecr),
            region: known.region,
        }
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn of(&self, service: Service) -> &Endpoint {
        match service {
            Service::Ec2 => &self.ec2,
            Service::Iam => &self.iam,
            Service::Logs => &self.logs,
            Service::Ecr => &self.ecr,
        }
    }
}

impl Known {
    fn endpoint(&self, service: Service) -> Endpoint {
        let partition = partition::of(&self.region);
        let url = self.urls.get(&service).or(self.url.as_ref());
        let url = match url {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("https://{}.{}/", self.host(service, partition), partition.suffix),
        };
        let region = match service {
            Service::Iam => partition.iam_region.to_owned(),
            Service::Ec2 | Service::Logs | Service::Ecr => self.region.clone(),
        };
        Endpoint { url, region, signed_as: service.signed_as() }
    }

    fn host(&self, service: Service, partition: Partition) -> String {
        let region = &self.region;
        match (service, self.fips) {
            (Service::Iam, Fips::Indifferent) => partition.iam_host.to_owned(),
            (Service::Iam, Fips::Wanted) => partition.iam_host.replacen("iam", "iam-fips", 1),
            (Service::Ecr, Fips::Indifferent) => format!("api.ecr.{region}"),
            (Service::Ec2 | Service::Logs, Fips::Indifferent) => format!("{}.{region}", service.signed_as()),
            (Service::Ec2 | Service::Logs | Service::Ecr, Fips::Wanted) => {
                format!("{}-fips.{region}", service.signed_as())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(known: Known) -> [String; 4] {
        let endpoints = Endpoints::of_known(known);
        Service::ALL.map(|service| endpoints.of(service).url.clone())
    }

    fn known(region: &str) -> Known {
        Known { region: region.to_owned(), ..Known::default() }
    }

    #[test]
    fn services_are_where_aws_has_them() {
        assert_eq!(
            urls(known("eu-central-1")),
            [
                "https://ec2.eu-central-1.amazonaws.com/",
                "https://iam.amazonaws.com/",
                "https://logs.eu-central-1.amazonaws.com/",
                "https://api.ecr.eu-central-1.amazonaws.com/",
            ]
        );
        assert_eq!(urls(known("cn-north-1"))[1], "https://iam.cn-north-1.amazonaws.com.cn/");
        let fips = Known { fips: Fips::Wanted, ..known("us-east-2") };
        assert_eq!(urls(fips)[3], "https://ecr-fips.us-east-2.amazonaws.com/");
    }

    #[test]
    fn iam_is_signed_for_its_own_region() {
        let endpoints = Endpoints::of_known(known("eu-central-1"));
        assert_eq!(endpoints.of(Service::Iam).region, "us-east-1");
        assert_eq!(endpoints.of(Service::Ecr).region, "eu-central-1");
    }

    #[test]
    fn the_environment_moves_all_of_them_or_one() {
        let mut known = known("eu-central-1");
        known.url = Some("http://127.0.0.1:4566".to_owned());
        known.urls.insert(Service::Ecr, "http://127.0.0.1:5000/".to_owned());
        assert_eq!(
            urls(known),
            ["http://127.0.0.1:4566/", "http://127.0.0.1:4566/", "http://127.0.0.1:4566/", "http://127.0.0.1:5000/"]
        );
    }
}
