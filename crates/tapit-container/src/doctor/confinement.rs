//! The walls of a container: what `linux::probe` has tried, as checks.

use crate::linux::probe::{Finding, SECCOMP};

use super::Check;

/// Only root can put up walls at all, so that trying them as somebody else tells nothing.
pub fn checks(findings: &[Finding]) -> Vec<Check> {
    findings.iter().map(judge).collect()
}

fn judge(finding: &Finding) -> Check {
    match (finding.present, finding.feature) {
        (true, feature) => Check::ok(feature, "tried and found working"),
        // The one that nothing falls back from: a container without a filter is not started.
        (false, SECCOMP) => Check::missing(SECCOMP, &finding.detail, finding.cost),
        (false, feature) => Check::lacking(feature, &finding.detail, finding.cost),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::linux::probe::USER_NAMESPACES;

    #[test]
    fn containers_run_without_a_user_namespace_but_not_without_a_filter() {
        let finding = |feature, present| Finding { feature, present, detail: "so it is".to_owned(), cost: "it costs" };
        let states = [(USER_NAMESPACES, true), (USER_NAMESPACES, false), (SECCOMP, true), (SECCOMP, false)]
            .map(|(feature, present)| judge(&finding(feature, present)).state);
        assert_eq!(states, [State::Ok, State::Lacking, State::Ok, State::Missing]);
    }
}
