//! Demand instances in the place of spot instances that cannot be had: what must be remembered of them.

use serde::{Deserialize, Serialize};

use crate::Moment;

/// The notes of one process with `spot_fallback`. They outlive the server, so that neither its death nor its start changes
/// who runs or since when somebody has been missing. `tapit_plan` alone decides what is noted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fallback {
    /// So many demand instances run beyond those that were asked for.
    pub stand_ins: u32,
    /// Since when at least one spot instance has been missing, at least two, and so on: as many as are missing. Never
    /// earlier than the one before. Times of an earlier boot of the host are in the future or say too little: after a
    /// reboot a shortage counts as shorter than it is, never as longer.
    pub missing: Vec<Moment>,
    /// Since when the spot instances have been back that stand-ins still stand in for; the one that came back last is first.
    pub back: Vec<Moment>,
    /// By so much the revision was raised without anybody's asking (stand-ins came or went, a task ended) since it was last
    /// raised by a request.
    pub raised: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppName, Process, ProcessKey, ProcessName, ProcessSpec, Revision, Timestamp};

    #[test]
    fn a_row_from_before_there_were_notes_and_tasks_is_read_as_one_without_any() {
        let key = ProcessKey::new(&AppName::parse("shop").expect("legal"), &ProcessName::public());
        let process = Process {
            key,
            spec: ProcessSpec::default(),
            task: None,
            configured: true,
            revision: Revision(2),
            generation: 1,
            running_generation: 1,
            rolled_back: false,
            fallback: Fallback::default(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            restarted_at: None,
            deleting: false,
        };
        let mut row = serde_json::to_value(&process).expect("it is written");
        for later in ["fallback", "task"] {
            assert!(row.as_object_mut().expect("a row").remove(later).is_some(), "{later}");
        }
        assert!(row["spec"].as_object_mut().expect("a spec").remove("spot_fallback").is_some());
        assert_eq!(serde_json::from_value::<Process>(row).expect("it is read"), process);
    }
}
