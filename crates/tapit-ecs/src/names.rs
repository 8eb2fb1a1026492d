//! Every name in the account, derived: the same for the same thing, so that a call that may have been carried out can be
//! made again. Process names hold no `_`, so what is added behind one cannot meet another process.

use sha2::{Digest, Sha256};
use tapit_model::{AppName, InstanceKind, Moment, ProcessKey, ProcessName, Timestamp};

use crate::api::Tags;

/// One server's things in an account: six hexadecimal digits of its data directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Install(String);

/// The most that a target group's or a load balancer's name may have.
const TARGET_GROUP_MAX: usize = 32;
const SPOT: &str = "_spot";
const TASK: &str = "task_";

impl Install {
    pub fn of(data_dir: &std::path::Path) -> Self {
        Self(hash(&data_dir.to_string_lossy(), 6))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn cluster(&self, app: &AppName) -> String {
        format!("{}{app}", self.cluster_prefix())
    }

    pub fn cluster_prefix(&self) -> String {
        format!("tapit-{}-", self.0)
    }

    /// The app whose cluster has this name, if it is one of ours.
    pub fn app_of_cluster(&self, cluster: &str) -> Option<AppName> {
        AppName::parse(cluster.strip_prefix(&self.cluster_prefix())?).ok()
    }

    /// At most 13 + 63 + 1 + 63 + 5 characters of 255.
    pub fn family(&self, key: &ProcessKey, kind: InstanceKind) -> String {
        format!("tapit-{}-{}_{}", self.0, key.app, service(&key.process, kind))
    }

    pub fn log_group(&self, app: &AppName) -> String {
        format!("/tapit/{}/{app}", self.0)
    }

    pub fn security_group(&self, app: &AppName) -> String {
        format!("tapit-{}-{app}", self.0)
    }

    /// Cut and made unique by a hash where the whole name does not fit.
    pub fn target_group(&self, app: &AppName) -> String {
        let whole = format!("tapit-{}-{app}", self.0);
        if whole.len() <= TARGET_GROUP_MAX {
            return whole;
        }
        const DIGITS: usize = 8;
        let cut: String = whole.chars().take(TARGET_GROUP_MAX - DIGITS - 1).collect();
        format!("{}-{}", cut.trim_end_matches('-'), hash(&whole, DIGITS))
    }

    pub fn load_balancer(&self) -> String {
        format!("tapit-{}", self.0)
    }

    pub fn load_balancer_group(&self) -> String {
        // No app can have this name, since names hold no `_`.
        format!("tapit-{}_balancer", self.0)
    }

    pub fn execution_role(&self) -> String {
        format!("tapit-{}-execution", self.0)
    }

    pub fn repository(&self, app: &AppName) -> String {
        format!("tapit-{}/{app}", self.0)
    }

    /// The same for the same service of the same generation, so that a repeated creation is one.
    pub fn client_token(&self, key: &ProcessKey, kind: InstanceKind, generation: u64) -> String {
        hash(&format!("{} {} {generation}", self.family(key, kind), kind.as_str()), 32)
    }

    /// Of one attempt to start a task: a name alone may be used again while AWS still knows what it stood for before.
    pub fn run_token(&self, key: &ProcessKey, at: Timestamp, moment: Moment) -> String {
        hash(&format!("{} {} {}", self.family(key, InstanceKind::Demand), at.0, moment.0), 32)
    }

    pub fn tags(&self) -> Tags {
        Tags::from([("tapit:install".to_owned(), self.0.clone())])
    }

    pub fn app_tags(&self, app: &AppName) -> Tags {
        let mut tags = self.tags();
        tags.insert("tapit:app".to_owned(), app.to_string());
        tags
    }

    pub fn process_tags(&self, key: &ProcessKey) -> Tags {
        let mut tags = self.app_tags(&key.app);
        tags.insert("tapit:process".to_owned(), key.process.to_string());
        tags
    }
}

/// Of a process's instances of one kind.
pub fn service(process: &ProcessName, kind: InstanceKind) -> String {
    match kind {
        InstanceKind::Demand => process.to_string(),
        InstanceKind::Spot => format!("{process}{SPOT}"),
    }
}

/// Of a process's one task, where it runs alone. Services and families have groups with a `:`.
pub fn group(process: &ProcessName) -> String {
    format!("{TASK}{process}")
}

/// Whose task has this group; `None`: a service's, or not one of ours.
pub fn process_of_group(group: &str) -> Option<ProcessName> {
    ProcessName::parse(group.strip_prefix(TASK)?).ok()
}

/// Whose service has this name; `None`: not one of ours.
pub fn process_of_service(service: &str) -> Option<(ProcessName, InstanceKind)> {
    let (name, kind) = match service.strip_suffix(SPOT) {
        Some(name) => (name, InstanceKind::Spot),
        None => (service, InstanceKind::Demand),
    };
    Some((ProcessName::parse(name).ok()?, kind))
}

/// The last part of an ARN.
pub fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The first digits of a SHA-256, in hexadecimal.
pub fn hash(text: &str, digits: usize) -> String {
    let whole: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    whole.chars().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install() -> Install {
        Install::of(std::path::Path::new("/var/lib/tapit"))
    }

    fn app(name: &str) -> AppName {
        AppName::parse(name).expect("a legal name")
    }

    #[test]
    fn names_fit_into_the_limits_of_aws_and_stay_different() {
        let (long, other) = (app(&"x".repeat(63)), app(&format!("{}y", "x".repeat(62))));
        for name in [install().target_group(&long), install().target_group(&other), install().load_balancer()] {
            assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
            assert!(!name.ends_with('-') && !name.starts_with("internal-"), "{name}");
        }
        assert_ne!(install().target_group(&long), install().target_group(&other));
        let key = ProcessKey::new(&long, &ProcessName::parse(&"p".repeat(63)).expect("legal"));
        assert!(install().family(&key, InstanceKind::Spot).len() <= 255);
        assert!(install().client_token(&key, InstanceKind::Spot, u64::MAX).len() <= 36);
    }

    #[test]
    fn a_process_that_is_called_spot_is_not_taken_for_spot_instances() {
        let (api, api_spot) =
            (ProcessName::parse("api").expect("legal"), ProcessName::parse("api-spot").expect("legal"));
        let names = [(&api, InstanceKind::Demand), (&api, InstanceKind::Spot), (&api_spot, InstanceKind::Demand)];
        for (process, kind) in names {
            assert_eq!(process_of_service(&service(process, kind)), Some((process.clone(), kind)));
        }
        assert_eq!(process_of_service("Not Ours"), None);
    }

    #[test]
    fn the_group_of_a_task_is_no_service_of_any_process() {
        let task = ProcessName::parse("task-7").expect("legal");
        assert_eq!(process_of_group(&group(&task)), Some(task));
        assert_eq!(process_of_group("service:task-7"), None);
        assert_eq!(process_of_service(&group(&ProcessName::parse("api").expect("legal"))), None);
    }

    #[test]
    fn the_app_of_a_cluster_is_known_by_its_name_alone() {
        assert_eq!(install().app_of_cluster(&install().cluster(&app("shop"))), Some(app("shop")));
        assert_eq!(install().app_of_cluster("tapit-000000-shop"), None);
        assert_eq!(install().app_of_cluster("somebody-elses"), None);
    }
}
