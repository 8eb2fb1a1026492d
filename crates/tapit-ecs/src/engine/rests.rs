//! Calls that failed, each resting for a while, so that one that fails keeps no other. Pure.

use std::collections::BTreeMap;

use tapit_model::{BlockedCode, Moment, ProcessName};

use super::pace::{self, back_off};
use super::words;
use crate::api::{ApiError, ApiFault, Operation};

/// Which call, as far as it matters for whether it fails again.
pub type Errand = (Operation, Option<ProcessName>);

#[derive(Debug, Default)]
pub struct Rests {
    failed: BTreeMap<Errand, Rest>,
}

#[derive(Debug)]
struct Rest {
    failures: u32,
    until: Moment,
    error: ApiError,
}

/// Something to tell people, of one process or of all of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub process: Option<ProcessName>,
    pub code: BlockedCode,
    pub text: String,
}

impl Trouble {
    pub fn of_provider(process: Option<ProcessName>, text: String) -> Self {
        Self { process, code: BlockedCode::Provider, text }
    }
}

impl Rests {
    pub fn may_go(&self, errand: &Errand, now: Moment) -> bool {
        self.failed.get(errand).is_none_or(|rest| rest.until <= now)
    }

    pub fn failed(&mut self, errand: Errand, error: ApiError, now: Moment) {
        let failures = self.failed.get(&errand).map_or(0, |rest| rest.failures).saturating_add(1);
        let until = now.plus_millis(pace::millis(back_off(failures)));
        self.failed.insert(errand, Rest { failures, until, error });
    }

    pub fn succeeded(&mut self, errand: &Errand) {
        self.failed.remove(errand);
    }

    /// Forgets calls that nobody wants to make any more.
    pub fn keep(&mut self, wanted: impl Fn(&Errand) -> bool) {
        self.failed.retain(|errand, _| wanted(errand));
    }

    /// Something has changed that may help.
    pub fn clear(&mut self) {
        self.failed.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// When the first may be made again.
    pub fn until(&self) -> Option<Moment> {
        self.failed.values().map(|rest| rest.until).min()
    }

    pub fn troubles(&self) -> Vec<Trouble> {
        let told = |rest: &Rest| rest.failures > 1 || words::is_news_at_once(rest.error.fault);
        let news = self.failed.iter().filter(|(_, rest)| told(rest));
        let trouble = |((_, process), rest): (&Errand, &Rest)| Trouble {
            process: process.clone(),
            code: if rest.error.fault == ApiFault::Capacity { BlockedCode::Capacity } else { BlockedCode::Provider },
            text: words::refused(&rest.error),
        };
        news.map(trouble).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(operation: Operation) -> Errand {
        (operation, ProcessName::parse("api").ok())
    }

    fn error(fault: ApiFault) -> ApiError {
        ApiError { operation: Operation::CreateService, fault, text: "Words of AWS".to_owned() }
    }

    #[test]
    fn a_call_that_failed_rests_and_others_go_on() {
        let mut rests = Rests::default();
        let (create, update) = (errand(Operation::CreateService), errand(Operation::UpdateService));
        rests.failed(create.clone(), error(ApiFault::Unavailable), Moment(1000));
        assert!(!rests.may_go(&create, Moment(1999)) && rests.may_go(&create, Moment(2000)));
        assert!(rests.may_go(&update, Moment(1000)));
        rests.failed(create.clone(), error(ApiFault::Unavailable), Moment(2000));
        assert_eq!(rests.until(), Some(Moment(4000)), "twice as long the second time");
        rests.succeeded(&create);
        assert!(rests.is_empty());
    }

    #[test]
    fn what_may_pass_is_told_the_second_time_and_what_will_not_at_once() {
        let mut rests = Rests::default();
        rests.failed(errand(Operation::CreateService), error(ApiFault::Throttled), Moment(0));
        assert_eq!(rests.troubles(), []);
        rests.failed(errand(Operation::CreateService), error(ApiFault::Throttled), Moment(0));
        assert_eq!(rests.troubles().len(), 1);
        rests.failed(errand(Operation::UpdateService), error(ApiFault::Denied), Moment(0));
        assert_eq!(rests.troubles().len(), 2);
    }

    #[test]
    fn calls_that_nobody_wants_any_more_are_forgotten() {
        let mut rests = Rests::default();
        rests.failed(errand(Operation::CreateService), error(ApiFault::Denied), Moment(0));
        rests.keep(|(operation, _)| *operation == Operation::UpdateService);
        assert!(rests.is_empty());
    }
}
