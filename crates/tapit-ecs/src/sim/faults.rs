//! What goes wrong with calls, on purpose.

use std::sync::{Mutex, PoisonError};

use super::calls::Call;
use super::capacity::NO_CAPACITY;
use super::rate::Rate;
use crate::api::{ApiError, ApiFault, Operation};

/// What becomes of a call that a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not carried out, and answered with this fault.
    Refuse(ApiFault),
    /// Carried out, and the answer is lost on the way: the caller sees `Unavailable`.
    LoseAnswer,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    when: When,
    operation: Option<Operation>,
    verdict: Verdict,
    /// Calls that it could have met.
    seen: u64,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Next(u64),
    Every(u64),
    Nth(u64),
}

impl Fault {
    /// The next so many calls are throttled.
    pub fn next(count: u64) -> Self {
        Self::when(When::Next(count))
    }

    /// Every so manieth call from now on is throttled; 1: all of them.
    pub fn every(nth: u64) -> Self {
        Self::when(When::Every(nth.max(1)))
    }

    /// The so manieth call from now on is throttled; 1: the next one.
    pub fn nth(nth: u64) -> Self {
        Self::when(When::Nth(nth))
    }

    fn when(when: When) -> Self {
        Self { when, operation: None, verdict: Verdict::Refuse(ApiFault::Throttled), seen: 0 }
    }

    /// Only calls of this operation count.
    pub fn of(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Something else than throttled.
    pub fn with(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    fn meets(&mut self, operation: Operation) -> bool {
        if self.operation.is_some_and(|only| only != operation) {
            return false;
        }
        self.seen += 1;
        match self.when {
            When::Next(count) => self.seen <= count,
            When::Every(nth) => self.seen.is_multiple_of(nth),
            When::Nth(nth) => self.seen == nth,
        }
    }
}

type Hook = Box<dyn FnMut(&Call) -> Option<Verdict> + Send>;

/// All that goes wrong with the calls of an account. The first fault that meets a call decides.
#[derive(Default)]
pub struct Faults {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    expired: bool,
    rates: Vec<Rate>,
    faults: Vec<Fault>,
    hook: Option<Hook>,
}

impl Faults {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, fault: Fault) {
        self.held().faults.push(fault);
    }

    /// From now on calls that come faster are throttled.
    pub fn limit(&self, rate: Rate) {
        self.held().rates.push(rate);
    }

    /// From now on, until they are renewed.
    pub fn expire_credentials(&self) {
        self.held().expired = true;
    }

    pub fn renew_credentials(&self) {
        self.held().expired = false;
    }

    /// Is told every call before it is carried out, and may decide what becomes of it.
    pub fn on_call(&self, hook: impl FnMut(&Call) -> Option<Verdict> + Send + 'static) {
        self.held().hook = Some(Box::new(hook));
    }

    /// Nothing goes wrong any more, and nobody is told.
    pub fn clear(&self) {
        *self.held() = Held::default();
    }

    pub(super) fn verdict(&self, call: &Call) -> Option<Verdict> {
        let mut held = self.held();
        if held.expired {
            return Some(Verdict::Refuse(ApiFault::Credentials));
        }
        let operation = call.request.operation();
        let slow_enough = held.rates.iter_mut().all(|rate| rate.allows(operation, call.at.0));
        let hooked = held.hook.as_mut().and_then(|hook| hook(call));
        // All of them count the call, whichever decides.
        let met: Vec<_> = held.faults.iter_mut().map(|fault| fault.meets(operation).then_some(fault.verdict)).collect();
        let throttled = (!slow_enough).then_some(Verdict::Refuse(ApiFault::Throttled));
        hooked.or(throttled).or_else(|| met.into_iter().flatten().next())
    }
}

/// As AWS words it.
pub(super) fn error(operation: Operation, fault: ApiFault) -> ApiError {
    let text = match fault {
        ApiFault::Throttled => "ThrottlingException: Rate exceeded",
        ApiFault::Unavailable => "ServerException: the connection was closed before the answer was complete",
        ApiFault::NotFound => "ResourceNotFoundException: it is not there",
        ApiFault::AlreadyExists => "ResourceAlreadyExistsException: it is there already",
        ApiFault::InUse => "DependencyViolation: it is in use",
        ApiFault::NotActive => "ServiceNotActiveException: Service was not ACTIVE.",
        ApiFault::Denied => "AccessDeniedException: the user is not authorized to perform this action",
        ApiFault::Credentials => "ExpiredTokenException: The security token included in the request is expired",
        ApiFault::Quota => "LimitExceededException: the quota of the account is used up",
        ApiFault::Capacity => NO_CAPACITY,
        ApiFault::Invalid => "ClientException: the request is not valid",
    };
    ApiError { operation, fault, text: text.to_owned() }
}
