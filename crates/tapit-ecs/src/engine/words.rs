//! What people read when AWS refuses or does not answer: what happened, and what to do. Pure.

use crate::api::{ApiError, ApiFault};
use crate::quote::with_theirs;

/// One sentence or two, with AWS's words at the end.
pub fn refused(error: &ApiError) -> String {
    let permission = error.operation.permission();
    let advice = match error.fault {
        ApiFault::Throttled => "AWS asks for fewer calls; it is tried again by itself".to_owned(),
        ApiFault::Unavailable => format!("AWS does not answer {permission}; it is tried again by itself"),
        ApiFault::InUse => {
            format!("something else still needs what {permission} is to change; it is tried again by itself")
        }
        ApiFault::Denied => format!(
            "the server's AWS credentials lack a permission: allow {permission}, or the one that AWS names; tapit doctor \
             checks all of them"
        ),
        ApiFault::Credentials => "the server's AWS credentials are missing, invalid or expired: renew them where the \
                                  server finds them (environment, profile or role); it goes on by itself then"
            .to_owned(),
        ApiFault::Quota => format!(
            "a quota of the AWS account is used up: ask for a higher one in Service Quotas, or make room ({permission})"
        ),
        ApiFault::Capacity => "no capacity on Fargate now; it is tried again by itself".to_owned(),
        ApiFault::NotFound | ApiFault::AlreadyExists | ApiFault::NotActive | ApiFault::Invalid => {
            format!("AWS refuses {permission}; it is tried again, in case it was only early")
        }
    };
    with_theirs(&advice, &error.text)
}

/// Whether people should read of it the first time already, since it will not pass by itself.
pub fn is_news_at_once(fault: ApiFault) -> bool {
    match fault {
        ApiFault::Denied | ApiFault::Credentials | ApiFault::Quota | ApiFault::Capacity => true,
        // The account shows what was made a moment ago only by and by, so these come and go.
        ApiFault::Throttled
        | ApiFault::Unavailable
        | ApiFault::InUse
        | ApiFault::NotFound
        | ApiFault::AlreadyExists
        | ApiFault::NotActive
        | ApiFault::Invalid => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Operation;

    fn error(fault: ApiFault, text: &str) -> ApiError {
        ApiError { operation: Operation::CreateService, fault, text: text.to_owned() }
    }

    #[test]
    fn a_refusal_says_what_to_do_and_what_aws_said() {
        let text = refused(&error(ApiFault::Denied, "AccessDeniedException: not authorized to perform: iam:PassRole"));
        assert!(text.contains("allow ecs:CreateService, or the one that AWS names"), "{text}");
        assert!(text.ends_with("[AccessDeniedException: not authorized to perform: iam:PassRole]"), "{text}");
        assert!(refused(&error(ApiFault::Credentials, "ExpiredToken")).contains("expired: renew them"));
    }

    #[test]
    fn long_words_of_aws_are_cut() {
        let text = refused(&error(ApiFault::Invalid, &"ü".repeat(9000)));
        assert!(text.chars().count() < 500 && text.ends_with("…]"), "{text}");
    }
}
