//! What AWS's errors come down to. Each service has its own codes; they are told apart by their names, which follow habits,
//! and where one code says several things by the words that come with it.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::api::{ApiError, ApiFault, Operation};

/// For the errors of one operation of the SDK's.
pub fn told<E>(operation: Operation) -> impl Fn(SdkError<E, HttpResponse>) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        if let SdkError::ServiceError(_) = &error {
            return answered(operation, Said { code, message, status });
        }
        let fault = if is_credentials(&error) { ApiFault::Credentials } else { ApiFault::Unavailable };
        ApiError { operation, fault, text: chain(&error) }
    }
}

/// An error as AWS has answered it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub code: &'a str,
    pub message: &'a str,
    pub status: Option<u16>,
}

pub fn answered(operation: Operation, said: Said<'_>) -> ApiError {
    let text = match (said.code, said.message, said.status) {
        ("", "", Some(status)) => format!("AWS has answered with status {status}"),
        ("", message, _) => message.to_owned(),
        (code, "", _) => code.to_owned(),
        (code, message, _) => format!("{code}: {message}"),
    };
    ApiError { operation, fault: classify(said), text }
}

/// Whether a call was not made because nobody could say who we are.
pub fn is_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}

/// An error with its causes, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let text = causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// What is said under a code that says nothing, by words in the message.
const WORDS: &[(&str, ApiFault)] = &[
    // A service, a cluster or a role of that name that was made from something else.
    ("was not idempotent", ApiFault::AlreadyExists),
    ("arguments used in previous request", ApiFault::AlreadyExists),
    // AWS makes it by itself when it is first needed, and takes a moment.
    ("service linked role", ApiFault::Unavailable),
    ("service-linked role", ApiFault::Unavailable),
    // Definitions, and tasks to be stopped.
    ("Unable to describe task definition", ApiFault::NotFound),
    ("TaskDefinition not found", ApiFault::NotFound),
    ("task was not found", ApiFault::NotFound),
    // Made a moment ago, and not known everywhere yet.
    ("does not have an associated load balancer", ApiFault::NotFound),
    ("Role is not valid", ApiFault::NotFound),
    // Nothing was started.
    ("Capacity is unavailable", ApiFault::Capacity),
    ("reached the limit on the number of", ApiFault::Quota),
    // To whoever asks for too much in too short a time, under the code of a wrong request.
    ("Rate exceeded", ApiFault::Throttled),
    ("Too many concurrent attempts", ApiFault::Throttled),
];

/// The part of a code that gives it away. The first one that is found counts.
const CODES: &[(&str, ApiFault)] = &[
    ("Throttl", ApiFault::Throttled),
    ("RequestLimitExceeded", ApiFault::Throttled),
    ("TooManyRequests", ApiFault::Throttled),
    ("SlowDown", ApiFault::Throttled),
    ("ExpiredToken", ApiFault::Credentials),
    ("UnrecognizedClient", ApiFault::Credentials),
    ("InvalidClientTokenId", ApiFault::Credentials),
    ("InvalidAccessKeyId", ApiFault::Credentials),
    ("InvalidSignature", ApiFault::Credentials),
    ("IncompleteSignature", ApiFault::Credentials),
    ("SignatureDoesNotMatch", ApiFault::Credentials),
    ("MissingAuthenticationToken", ApiFault::Credentials),
    ("AuthFailure", ApiFault::Credentials),
    ("RequestExpired", ApiFault::Credentials),
    ("AccessDenied", ApiFault::Denied),
    ("UnauthorizedOperation", ApiFault::Denied),
    ("NotAuthorized", ApiFault::Denied),
    ("OptInRequired", ApiFault::Denied),
    ("Blocked", ApiFault::Denied),
    ("ServiceNotActive", ApiFault::NotActive),
    ("AlreadyExists", ApiFault::AlreadyExists),
    ("Duplicate", ApiFault::AlreadyExists),
    ("PriorityInUse", ApiFault::AlreadyExists),
    ("DependencyViolation", ApiFault::InUse),
    ("ResourceInUse", ApiFault::InUse),
    ("ClusterContains", ApiFault::InUse),
    ("DeleteConflict", ApiFault::InUse),
    ("UpdateInProgress", ApiFault::InUse),
    ("OperationAborted", ApiFault::InUse),
    ("ConcurrentModification", ApiFault::InUse),
    ("InvalidGroup.InUse", ApiFault::InUse),
    // Of a token that was used for something else.
    ("ConflictException", ApiFault::AlreadyExists),
    ("LimitExceeded", ApiFault::Quota),
    ("QuotaExceeded", ApiFault::Quota),
    ("TooMany", ApiFault::Quota),
    ("NotFound", ApiFault::NotFound),
    ("NoSuchEntity", ApiFault::NotFound),
    ("ServerException", ApiFault::Unavailable),
    ("InternalFailure", ApiFault::Unavailable),
    ("InternalError", ApiFault::Unavailable),
    ("Unavailable", ApiFault::Unavailable),
    ("RequestTimeout", ApiFault::Unavailable),
];

fn classify(said: Said<'_>) -> ApiFault {
    if let Some((_, fault)) = WORDS.iter().find(|(words, _)| said.message.contains(words)) {
        return *fault;
    }
    if let Some((_, fault)) = CODES.iter().find(|(part, _)| said.code.contains(part)) {
        return *fault;
    }
    match said.status {
        Some(429) => ApiFault::Throttled,
        Some(status) if status >= 500 => ApiFault::Unavailable,
        // A proxy or a portal has answered, not AWS.
        Some(_) | None if said.code.is_empty() => ApiFault::Unavailable,
        Some(_) | None => ApiFault::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, message: &str) -> ApiFault {
        classify(Said { code, message, status: Some(400) })
    }

    #[test]
    fn codes_of_all_services_come_down_to_what_is_to_be_done() {
        let table = [
            (ApiFault::Throttled, "ThrottlingException Throttling ThrottledException RequestLimitExceeded"),
            (ApiFault::Throttled, "TooManyRequestsException EC2ThrottledException"),
            (ApiFault::Credentials, "ExpiredToken ExpiredTokenException UnrecognizedClientException RequestExpired"),
            (ApiFault::Credentials, "InvalidClientTokenId InvalidSignatureException SignatureDoesNotMatch AuthFailure"),
            (ApiFault::Denied, "AccessDenied AccessDeniedException UnauthorizedOperation BlockedException"),
            (ApiFault::NotFound, "ClusterNotFoundException ServiceNotFoundException LoadBalancerNotFound"),
            (ApiFault::NotFound, "TargetGroupNotFound RuleNotFound NoSuchEntity InvalidGroup.NotFound"),
            (ApiFault::NotFound, "InvalidSubnetID.NotFound ResourceNotFoundException RepositoryNotFoundException"),
            (
                ApiFault::AlreadyExists,
                "DuplicateListener DuplicateTargetGroupName InvalidGroup.Duplicate PriorityInUse",
            ),
            (ApiFault::AlreadyExists, "InvalidPermission.Duplicate EntityAlreadyExists ResourceAlreadyExistsException"),
            (ApiFault::InUse, "DependencyViolation ResourceInUse ClusterContainsServicesException DeleteConflict"),
            (ApiFault::InUse, "ClusterContainsTasksException UpdateInProgressException"),
            (ApiFault::NotActive, "ServiceNotActiveException"),
            (ApiFault::Quota, "LimitExceededException TooManyTargetGroups SecurityGroupLimitExceeded TooManyRules"),
            (ApiFault::Unavailable, "ServerException InternalFailure ServiceUnavailable ServiceUnavailableException"),
            (
                ApiFault::Invalid,
                "InvalidParameterException ClientException ValidationError InvalidConfigurationRequest",
            ),
        ];
        for (fault, codes) in table {
            for code in codes.split_whitespace() {
                assert_eq!(of(code, "some message"), fault, "{code}");
            }
        }
    }

    #[test]
    fn words_tell_what_a_common_code_does_not() {
        let invalid = "InvalidParameterException";
        assert_eq!(of(invalid, "Creation of service was not idempotent."), ApiFault::AlreadyExists);
        assert_eq!(of("ClientException", "Unable to describe task definition."), ApiFault::NotFound);
        assert_eq!(of("ClientException", "TaskDefinition not found."), ApiFault::NotFound);
        assert_eq!(of(invalid, "Unable to assume the service linked role."), ApiFault::Unavailable);
        assert_eq!(of(invalid, "Container name should be valid."), ApiFault::Invalid);
    }

    #[test]
    fn an_error_is_told_with_its_causes_in_one_line() {
        let refused = std::io::Error::other("no credentials. Attempted:\n  Environment: not set");
        let error = CredentialsError::not_loaded(refused);
        assert!(is_credentials(&error));
        let text = chain(&error);
        assert!(text.ends_with(": no credentials. Attempted: Environment: not set"), "{text}");
    }

    #[test]
    fn what_has_no_code_is_told_by_its_status() {
        let status = |status| classify(Said { code: "", message: "", status: Some(status) });
        assert_eq!([400, 429, 503].map(status), [ApiFault::Unavailable, ApiFault::Throttled, ApiFault::Unavailable]);
        let error = answered(Operation::ListTasks, Said { code: "", message: "", status: Some(502) });
        assert_eq!(error.to_string(), "ecs:ListTasks: AWS has answered with status 502");
    }
}
