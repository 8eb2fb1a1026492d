//! Why a call is refused, in AWS's words.

use crate::api::{Answer, ApiError, ApiFault, Operation};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    fault: ApiFault,
    text: String,
}

pub(super) type Answered = Result<Answer, Refusal>;

impl Refusal {
    /// `code`, as AWS spells it, and its message.
    pub fn new(fault: ApiFault, code: &str, message: impl std::fmt::Display) -> Self {
        Self { fault, text: format!("{code}: {message}") }
    }

    /// A parameter that no repetition makes right.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::Invalid, "InvalidParameterException", message)
    }

    /// The same of calls that ECS blames the client for.
    pub fn client(message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::Invalid, "ClientException", message)
    }

    /// The same of load balancers and networks.
    pub fn validation(message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::Invalid, "ValidationError", message)
    }

    pub fn not_found(code: &str, message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::NotFound, code, message)
    }

    pub fn exists(code: &str, message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::AlreadyExists, code, message)
    }

    pub fn in_use(code: &str, message: impl std::fmt::Display) -> Self {
        Self::new(ApiFault::InUse, code, message)
    }

    pub fn of(self, operation: Operation) -> ApiError {
        ApiError { operation, fault: self.fault, text: self.text }
    }
}
