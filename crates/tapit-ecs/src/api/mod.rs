//! AWS as this engine needs it: every call as a value, every answer as a value, one way to make a call.
//!
//! What is decided is data until it is sent, so plans can be compared in tests, and counting, pacing, repeating and failing
//! on purpose each have one place. `aws` is the real account, `sim` one in memory.

mod answer;
mod error;
mod nouns;
mod operation;
mod request;

use async_trait::async_trait;

pub use answer::Answer;
pub use error::{ApiError, ApiFault};
pub use nouns::*;
pub use operation::Operation;
pub use request::{LogEventsOf, LogFrom, Request};

/// An account in one region.
#[async_trait]
pub trait EcsApi: Send + Sync {
    /// Makes one call, once. The answer is of the kind that the request documents.
    async fn call(&self, request: Request) -> Result<Answer, ApiError>;
}

/// An account as everything here holds it.
pub type SharedApi = std::sync::Arc<dyn EcsApi>;
