//! What a call to AWS can fail with, reduced to what is done about it.

use super::Operation;

/// What is to be done about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiFault {
    /// Too many calls: the same again, later.
    Throttled,
    /// AWS or the way to it failed: the same again. The call may have been carried out all the same.
    Unavailable,
    /// There is nothing of that name, or not yet.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// Something else still needs it, or it is on its way out: the same again, later.
    InUse,
    /// A service that was deleted takes no more changes.
    NotActive,
    /// The credentials lack a permission.
    Denied,
    /// There are no credentials, or they are not valid any more.
    Credentials,
    /// A quota of the account is used up.
    Quota,
    /// AWS has no room for it now: the same again, later. Nothing was started.
    Capacity,
    /// The request itself is wrong; it will not do the next time either.
    Invalid,
}

impl ApiFault {
    /// Whether the very same call may succeed without anybody changing anything.
    pub fn passes(self) -> bool {
        match self {
            ApiFault::Throttled | ApiFault::Unavailable | ApiFault::InUse => true,
            ApiFault::NotFound
            | ApiFault::AlreadyExists
            | ApiFault::NotActive
            | ApiFault::Denied
            | ApiFault::Credentials
            | ApiFault::Quota
            | ApiFault::Capacity
            | ApiFault::Invalid => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {text}")]
pub struct ApiError {
    pub operation: Operation,
    pub fault: ApiFault,
    /// AWS's code and message, for people.
    pub text: String,
}
