//! One AWS account on this machine: a test's own, with everything in it removed at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::docker::{self, Container};
use super::emulator::{Emulator, REGION};
use super::plain_http::{self, Ask};
use super::registry::{self, Image};
use super::strict::Strict;

/// How long a container may stay after all that wanted it is gone.
const LEAVING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

pub struct Account {
    id: String,
    strict: Strict,
    emulator: Arc<Emulator>,
}

impl Account {
    /// `None`, with a line that says why, where no containers can be had. In CI that is a failure.
    pub fn open() -> Option<Self> {
        match Emulator::shared() {
            Ok(emulator) => Some(Self::on(emulator)),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must run the tests on AWS: {why}");
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn on(emulator: Arc<Emulator>) -> Self {
        let id = fresh_id();
        let strict = Strict::start(emulator.address(), &id);
        Self { id, strict, emulator }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn strict(&self) -> &Strict {
        &self.strict
    }

    /// Of everything: calls, the registry, the load balancers' requests.
    pub fn address(&self) -> SocketAddr {
        self.strict.address()
    }

    /// The environment of a program that is to use this account and no other.
    pub fn environment(&self) -> Vec<(String, String)> {
        let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            one("AWS_ENDPOINT_URL", &format!("http://{}", self.address())),
            one("AWS_REGION", REGION),
            // The emulator takes a key of twelve digits for the account.
            one("AWS_ACCESS_KEY_ID", &self.id),
            one("AWS_SECRET_ACCESS_KEY", "secret"),
            one("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// Puts an image into the account's registry. Answers its name for a task definition.
    pub fn push(&self, repository: &str, tag: &str, image: &Image<'_>) -> String {
        self.ask("AmazonEC2ContainerRegistry_V20150921.CreateRepository", &json!({"repositoryName": repository}));
        registry::push(self.address(), repository, tag, image);
        format!("{}/{repository}:{tag}", self.address())
    }

    /// Containers of this account that run. The emulator keeps those that were killed for a while.
    pub fn containers(&self) -> Vec<Container> {
        let all = docker::containers(&self.emulator.label()).expect("the Docker daemon answers");
        let of_account = format!(":{}:cluster/", self.id);
        let live = |container: &Container| container.cluster.contains(&of_account) && container.state == "running";
        all.into_iter().filter(live).collect()
    }

    /// A call to the emulator behind the layer: neither counted nor refused. An error is part of the answer.
    pub fn ask(&self, target: &str, input: &Value) -> Value {
        let authorization = self.authorization("ecs");
        let headers = [
            ("X-Amz-Target", target),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", authorization.as_str()),
        ];
        let body = input.to_string();
        let ask = Ask { method: "POST", path: "/", headers: &headers, body: body.as_bytes() };
        let answer = plain_http::send(self.emulator.address(), &ask).expect("the emulator answers");
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    pub fn ecs(&self, operation: &str, input: &Value) -> Value {
        self.ask(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
    }

    /// The same for services that take forms and answer XML.
    pub fn query(&self, form: &str) -> String {
        let version = form.split('&').find_map(|pair| pair.strip_prefix("Version="));
        let authorization = self.authorization(match version {
            Some("2015-12-01") => "elasticloadbalancing",
            Some("2016-11-15") => "ec2",
            Some("2010-05-08") => "iam",
            other => panic!("{other:?} is no version of a service that the tests use"),
        });
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", authorization.as_str())];
        let ask = Ask { method: "POST", path: "/", headers: &headers, body: form.as_bytes() };
        plain_http::send(self.emulator.address(), &ask).expect("the emulator answers").text()
    }

    /// The emulator finds the service of a form by it.
    fn authorization(&self, service: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/{service}/aws4_request", self.id)
    }

    /// Everything that somebody made in it and that is still there, one line each.
    pub fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        for cluster in strings(&self.ecs("ListClusters", &json!({}))["clusterArns"]) {
            let services = self.ecs("ListServices", &json!({"cluster": cluster, "maxResults": 100}));
            left.extend(strings(&services["serviceArns"]).map(|arn| format!("service {arn}")));
            left.push(format!("cluster {cluster}"));
        }
        left.extend(
            strings(&self.ecs("ListTaskDefinitions", &json!({}))["taskDefinitionArns"])
                .map(|arn| format!("definition {arn}")),
        );
        let repositories = self.ask("AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", &json!({}));
        let names = repositories["repositories"].as_array().map(Vec::as_slice).unwrap_or_default();
        left.extend(names.iter().map(|one| format!("repository {}", one["repositoryName"])));
        let groups = self.ask("Logs_20140328.DescribeLogGroups", &json!({}));
        let names = groups["logGroups"].as_array().map(Vec::as_slice).unwrap_or_default();
        left.extend(names.iter().map(|one| format!("log group {}", one["logGroupName"])));
        for (what, action, version, element) in [
            ("load balancer", "DescribeLoadBalancers", "2015-12-01", "LoadBalancerArn"),
            ("target group", "DescribeTargetGroups", "2015-12-01", "TargetGroupArn"),
            ("security group", "DescribeSecurityGroups", "2016-11-15", "groupName"),
            ("role", "ListRoles", "2010-05-08", "RoleName"),
        ] {
            let answer = self.query(&format!("Action={action}&Version={version}"));
            let names = elements(&answer, element).filter(|name| *name != "default");
            left.extend(names.map(|name| format!("{what} {name}")));
        }
        left.extend(self.containers_that_stay().iter().map(|container| format!("container {}", container.name)));
        left
    }

    /// After a moment to go: the emulator may be starting one while its service is deleted, and notices late.
    fn containers_that_stay(&self) -> Vec<Container> {
        let end = Instant::now() + LEAVING;
        loop {
            let here = self.containers();
            if here.is_empty() || Instant::now() >= end {
                return here;
            }
            std::thread::sleep(LOOK);
        }
    }

    #[track_caller]
    pub fn assert_empty(&self) {
        let left = self.left_over();
        assert!(left.is_empty(), "left in the account:\n{}", left.join("\n"));
    }

    /// Stops what runs, however it came to be. The rest of an account costs nothing and goes with the emulator.
    fn stop_everything(&self) {
        for cluster in strings(&self.ecs("ListClusters", &json!({}))["clusterArns"]) {
            let services = self.ecs("ListServices", &json!({"cluster": cluster, "maxResults": 100}));
            for service in strings(&services["serviceArns"]) {
                self.ecs("DeleteService", &json!({"cluster": cluster, "service": service, "force": true}));
            }
        }
        for container in docker::containers(&self.emulator.label()).unwrap_or_default() {
            if container.cluster.contains(&format!(":{}:", self.id)) {
                // One that is on its way out already is not there any more.
                let _ = docker::remove(&container.id);
            }
        }
        // The daemon keeps what it has pulled from this account's registry, whose name nobody will use again.
        let _ = docker::remove_images(&self.address().to_string());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.stop_everything();
    }
}

fn strings(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned)
}

fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{name}>");
    let parts: Vec<&str> = xml.split(open.as_str()).skip(1).collect();
    parts.into_iter().filter_map(|part| part.split('<').next())
}

/// Twelve digits that no other test has, also of another test binary.
fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let number = RandomState::new().hash_one(std::time::Instant::now());
    format!("{:012}", 100_000_000_000 + number % 900_000_000_000)
}
