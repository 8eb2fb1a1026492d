//! Every call to AWS, counted, paced and repeated.
//!
//! Stands between the engine and an account. AWS limits calls per account and region with buckets, one for each group of
//! operations; whoever empties one gets errors, and so does everybody else who uses the account. So the same buckets are
//! kept here, a little smaller, and calls wait for their turn. What AWS refuses all the same is repeated a few times, and
//! slows down what comes after. What may have been carried out and would be doubled by repetition is not repeated.
//!
//! It decides nothing about an error beyond that: whoever called is told the last one.

mod bucket;
mod counts;
mod rates;
mod repeat;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

pub use counts::{Count, Counts};
pub use rates::{Class, HEADROOM_PERCENT, RATES, Rate, class};

use crate::api::{Answer, ApiError, ApiFault, EcsApi, Operation, Request};
use bucket::{Bucket, Turn};

/// An account behind a meter.
#[derive(Debug)]
pub struct Metered<A> {
    inner: A,
    /// What the buckets count their time from.
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// One for each row of `RATES`, in its order.
    buckets: Vec<Bucket>,
    counts: Counts,
}

impl<A: EcsApi> Metered<A> {
    pub fn new(inner: A) -> Self {
        let buckets = RATES.iter().map(|rate| Bucket::new(rate.ours())).collect();
        Self { inner, begun: Instant::now(), state: Mutex::new(State { buckets, counts: Counts::default() }) }
    }

    /// How often each operation was sent since the beginning, with repetitions.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call of the kind may be made.
    async fn turn(&self, operation: Operation) -> Result<(), ApiError> {
        let now = self.begun.elapsed();
        let turn = self.state().bucket(operation).turn(now);
        match turn {
            Turn::Now => Ok(()),
            Turn::After(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Turn::TooFar(wait) => Err(crowded(operation, wait)),
        }
    }

    /// One call, and what is learnt from its answer.
    async fn once(&self, operation: Operation, request: Request) -> Result<Answer, ApiError> {
        self.turn(operation).await?;
        let begun = Instant::now();
        self.state().counts.sent(operation);
        let answer = self.inner.call(request).await;
        let took = begun.elapsed();
        match &answer {
            Ok(_) => tracing::debug!(%operation, ?took, "AWS has answered"),
            Err(error) => {
                tracing::debug!(%operation, ?took, fault = ?error.fault, %error, "AWS has refused");
                let now = self.begun.elapsed();
                let mut state = self.state();
                state.counts.failed(operation, error.fault);
                if error.fault == ApiFault::Throttled {
                    state.bucket(operation).throttled(now);
                }
            }
        }
        answer
    }
}

impl State {
    fn bucket(&mut self, operation: Operation) -> &mut Bucket {
        &mut self.buckets[rates::class(operation).row()]
    }
}

#[async_trait]
impl<A: EcsApi> EcsApi for Metered<A> {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let operation = request.operation();
        for earlier in 0..repeat::TRIES - 1 {
            let error = match self.once(operation, request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !repeat::is_worth_it(operation, error.fault) {
                return Err(error);
            }
            tokio::time::sleep(repeat::pause(earlier, repeat::chance())).await;
        }
        self.once(operation, request).await
    }
}

/// Whoever holds an account shares it.
#[async_trait]
impl<A: EcsApi + ?Sized> EcsApi for Arc<A> {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        (**self).call(request).await
    }
}

fn crowded(operation: Operation, wait: Duration) -> ApiError {
    let text = format!("so many calls wait already that this one would have its turn in {} s", wait.as_secs());
    ApiError { operation, fault: ApiFault::Throttled, text }
}
