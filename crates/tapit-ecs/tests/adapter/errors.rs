//! Errors of every kind of service, as AWS words them.

use tapit_ecs::api::{ApiError, ApiFault, Operation, Request, ServiceChange};

use crate::canned::{Account, Canned, ec2_error, json_error, well, xml_error};
use crate::requests::{definition, service};

async fn error(canned: Canned, request: Request) -> ApiError {
    let account = Account::answering([canned]);
    let error = account.call(request).await.expect_err("an error");
    assert_eq!(account.sent().len(), 1, "a call is made once, whatever its answer");
    error
}

fn list() -> Request {
    Request::ListServices { cluster: "c".to_owned(), next: None }
}

fn balancers() -> Request {
    Request::DescribeTargetGroup { name: "t".to_owned() }
}

fn role() -> Request {
    Request::GetRole { name: "r".to_owned() }
}

fn repository() -> Request {
    Request::DeleteRepository { name: "r".to_owned() }
}

fn stop() -> Request {
    Request::StopTask { cluster: "c".to_owned(), task: "t".to_owned(), reason: "r".to_owned() }
}

#[tokio::test]
async fn every_service_has_its_own_words_for_too_many_calls() {
    for (canned, request) in [
        (json_error("ThrottlingException", "Rate exceeded"), list()),
        (xml_error("Throttling", "Rate exceeded"), balancers()),
        (xml_error("Throttling", "Rate exceeded"), role()),
        (ec2_error("RequestLimitExceeded", "Request limit exceeded."), Request::DescribeDefaultVpc),
        (json_error("ThrottlingException", "Rate exceeded"), Request::DeleteLogGroup { name: "g".to_owned() }),
        (json_error("TooManyRequestsException", "Rate exceeded"), repository()),
    ] {
        let operation = request.operation();
        let error = error(canned, request).await;
        assert_eq!((error.fault, error.operation), (ApiFault::Throttled, operation), "{error}");
    }
}

#[tokio::test]
async fn expired_and_wrong_credentials_are_told_as_such_by_every_service() {
    let expired = "The security token included in the request is expired";
    for (canned, request) in [
        (json_error("ExpiredTokenException", expired), list()),
        (json_error("UnrecognizedClientException", "The security token included in the request is invalid."), list()),
        (json_error("InvalidSignatureException", "The request signature we calculated does not match"), list()),
        (xml_error("ExpiredToken", expired), balancers()),
        (xml_error("InvalidClientTokenId", "The security token included in the request is invalid."), role()),
        (xml_error("ExpiredToken", expired), Request::CallerIdentity),
        (ec2_error("RequestExpired", "Request has expired."), Request::DescribeDefaultVpc),
        (ec2_error("AuthFailure", "AWS was not able to validate"), Request::DescribeDefaultVpc),
        (json_error("ExpiredTokenException", expired), Request::RegistryLogin),
    ] {
        let error = error(canned, request).await;
        assert_eq!(error.fault, ApiFault::Credentials, "{error}");
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_the_error_says_why() {
    for request in [list(), balancers(), role(), repository(), Request::CallerIdentity, Request::DescribeDefaultVpc] {
        let account = Account::without_credentials();
        let error = account.call(request).await.expect_err("nobody is who we are");
        assert_eq!(error.fault, ApiFault::Credentials, "{error}");
        assert!(error.text.contains("no profile is named so"), "{error}");
        assert!(account.sent().is_empty());
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_in_aws_own_words() {
    let words = "User: arn:aws:iam::1:user/u is not authorized to perform: ecs:ListServices";
    let denied = error(json_error("AccessDeniedException", words), list()).await;
    assert_eq!(denied.fault, ApiFault::Denied);
    assert_eq!(denied.to_string(), format!("ecs:ListServices: AccessDeniedException: {words}"));
    for (canned, request) in [
        (xml_error("AccessDenied", "not authorized"), balancers()),
        (xml_error("AccessDenied", "not authorized"), role()),
        (ec2_error("UnauthorizedOperation", "You are not authorized"), Request::DescribeDefaultVpc),
    ] {
        assert_eq!(error(canned, request).await.fault, ApiFault::Denied);
    }
}

#[tokio::test]
async fn a_broken_connection_and_an_error_of_aws_own_are_unavailability() {
    let failure = Canned::Answer { status: 500, body: r#"{"__type":"ServerException","message":"oops"}"#.to_owned() };
    let portal = Canned::Answer { status: 502, body: "<html>Bad gateway</html>".to_owned() };
    for request in [list(), balancers(), role(), repository(), stop(), Request::DescribeDefaultVpc] {
        for canned in [Canned::Broken, failure.clone(), portal.clone()] {
            let error = error(canned, request.clone()).await;
            assert_eq!(error.fault, ApiFault::Unavailable, "{error}");
        }
    }
}

#[tokio::test]
async fn what_aws_says_under_a_common_code_is_told_apart_by_its_words() {
    let create = Request::CreateService(Box::new(service()));
    let describe = Request::DescribeTaskDefinition { name: "nothing:1".to_owned() };
    let register = Request::RegisterTaskDefinition(Box::new(definition()));
    let invalid = "InvalidParameterException";
    let size = "No Fargate configuration exists for given values.";
    for (code, words, request, fault) in [
        (invalid, "Creation of service was not idempotent.", create.clone(), ApiFault::AlreadyExists),
        ("ClientException", "TaskDefinition not found.", create.clone(), ApiFault::NotFound),
        ("ClientException", "Unable to describe task definition.", describe, ApiFault::NotFound),
        (invalid, "Unable to assume the service linked role.", create.clone(), ApiFault::Unavailable),
        (invalid, "The target group does not have an associated load balancer.", create.clone(), ApiFault::NotFound),
        ("ClientException", size, register, ApiFault::Invalid),
        ("ClusterNotFoundException", "Cluster not found.", create, ApiFault::NotFound),
        (invalid, "The referenced task was not found.", stop(), ApiFault::NotFound),
    ] {
        let error = error(json_error(code, words), request).await;
        assert_eq!(error.fault, fault, "{error}");
    }
}

#[tokio::test]
async fn a_service_on_its_way_out_and_a_cluster_in_use_are_told_as_such() {
    let change = ServiceChange {
        cluster: "c".to_owned(),
        service: "s".to_owned(),
        desired: Some(1),
        task_definition: None,
        breaker: None,
        target: None,
    };
    let inactive = json_error("ServiceNotActiveException", "Service was not ACTIVE.");
    assert_eq!(error(inactive, Request::UpdateService(change)).await.fault, ApiFault::NotActive);
    let delete = Request::DeleteCluster { name: "c".to_owned() };
    for code in ["ClusterContainsServicesException", "ClusterContainsTasksException"] {
        assert_eq!(error(json_error(code, "in use"), delete.clone()).await.fault, ApiFault::InUse);
    }
    let group = Request::DeleteSecurityGroup { group: "sg-1".to_owned() };
    let dependent = ec2_error("DependencyViolation", "resource sg-1 has a dependent object");
    assert_eq!(error(dependent, group).await.fault, ApiFault::InUse);
    let group = Request::DeleteTargetGroup { arn: "t".to_owned() };
    assert_eq!(error(xml_error("ResourceInUse", "in use by a rule"), group).await.fault, ApiFault::InUse);
}

#[tokio::test]
async fn quotas_and_names_that_are_taken_are_told_as_such() {
    let rule = Request::CreateRule {
        listener: "l".to_owned(),
        priority: 1,
        hosts: vec!["h".to_owned()],
        target_group: "t".to_owned(),
        tags: Default::default(),
    };
    assert_eq!(error(xml_error("PriorityInUse", "taken"), rule.clone()).await.fault, ApiFault::AlreadyExists);
    assert_eq!(error(xml_error("TooManyRules", "too many"), rule).await.fault, ApiFault::Quota);
    let group = Request::CreateSecurityGroup {
        name: "n".to_owned(),
        vpc: "v".to_owned(),
        description: "d".to_owned(),
        tags: Default::default(),
    };
    assert_eq!(error(ec2_error("InvalidGroup.Duplicate", "taken"), group.clone()).await.fault, ApiFault::AlreadyExists);
    assert_eq!(error(ec2_error("SecurityGroupLimitExceeded", "too many"), group).await.fault, ApiFault::Quota);
    let create = Request::CreateLogGroup { name: "g".to_owned(), tags: Default::default() };
    assert_eq!(error(json_error("LimitExceededException", "too many"), create).await.fault, ApiFault::Quota);
}

#[tokio::test]
async fn a_task_that_was_not_started_says_why_and_that_nothing_runs() {
    let run = || Request::RunTask(Box::new(crate::requests::task()));
    let failed = |reason: &str| well(serde_json::json!({ "tasks": [], "failures": [{ "reason": reason }] }));
    let room = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    for (canned, fault) in [
        (failed(room), ApiFault::Capacity),
        (failed("RESOURCE:FARGATE"), ApiFault::Capacity),
        (failed("ATTRIBUTE"), ApiFault::Invalid),
        (json_error("ClientException", room), ApiFault::Capacity),
        (json_error("ConflictException", "the token was used"), ApiFault::AlreadyExists),
        (
            json_error("ClientException", "You've reached the limit on the number of vCPUs you can run concurrently"),
            ApiFault::Quota,
        ),
        (json_error("ThrottlingException", "Rate exceeded"), ApiFault::Throttled),
        // Neither a task nor a failure: nobody knows.
        (well(serde_json::json!({})), ApiFault::Unavailable),
    ] {
        let error = error(canned, run()).await;
        assert_eq!(error.fault, fault, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_no_success() {
    for (request, body) in [
        (list(), "<html>"),
        (Request::RegistryLogin, "<html>"),
        (Request::RegistryLogin, r#"{"authorizationData":[]}"#),
        (role(), "<GetRoleResponse/>"),
        (Request::DescribeDefaultVpc, "not XML"),
    ] {
        let operation: Operation = request.operation();
        let error = error(well(body), request).await;
        assert_eq!(error.fault, ApiFault::Unavailable, "{operation}: {error}");
    }
}

#[tokio::test]
async fn credentials_that_aws_does_not_take_any_more_are_looked_up_anew_and_good_ones_are_kept() {
    let token = r#"{"authorizationData":[{"authorizationToken":"QVdTOmE=","proxyEndpoint":"https://h"}]}"#;
    let expired = json_error("ExpiredTokenException", "The security token included in the request is expired");
    let account = Account::renewing([well(token), well(token), expired, well(token)]);
    for succeeds in [true, true, false, true] {
        assert_eq!(account.call(Request::RegistryLogin).await.is_ok(), succeeds);
    }
    let key = |authorization: &str| authorization.split(['=', '/']).nth(1).expect("a key").to_owned();
    let keys: Vec<String> = account.sent().iter().filter_map(|sent| sent.authorization.as_deref().map(key)).collect();
    assert_eq!(keys, ["KEY1", "KEY1", "KEY1", "KEY2"]);
}
