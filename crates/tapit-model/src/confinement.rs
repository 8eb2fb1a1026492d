//! What confines an instance, as far as a user may loosen it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nearest;

macro_rules! capabilities {
    ($($variant:ident $name:literal)*) => {
        /// A Linux capability, by its name without `CAP_`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum Capability { $($variant,)* }

        impl Capability {
            pub const ALL: &'static [Capability] = &[$(Capability::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Capability::$variant => $name,)* }
            }
        }
    };
}

capabilities! {
    AuditControl "AUDIT_CONTROL"
    AuditRead "AUDIT_READ"
    AuditWrite "AUDIT_WRITE"
    BlockSuspend "BLOCK_SUSPEND"
    Bpf "BPF"
    CheckpointRestore "CHECKPOINT_RESTORE"
    Chown "CHOWN"
    DacOverride "DAC_OVERRIDE"
    DacReadSearch "DAC_READ_SEARCH"
    Fowner "FOWNER"
    Fsetid "FSETID"
    IpcLock "IPC_LOCK"
    IpcOwner "IPC_OWNER"
    Kill "KILL"
    Lease "LEASE"
    LinuxImmutable "LINUX_IMMUTABLE"
    MacAdmin "MAC_ADMIN"
    MacOverride "MAC_OVERRIDE"
    Mknod "MKNOD"
    NetAdmin "NET_ADMIN"
    NetBindService "NET_BIND_SERVICE"
    NetBroadcast "NET_BROADCAST"
    NetRaw "NET_RAW"
    Perfmon "PERFMON"
    Setfcap "SETFCAP"
    Setgid "SETGID"
    Setpcap "SETPCAP"
    Setuid "SETUID"
    SysAdmin "SYS_ADMIN"
    SysBoot "SYS_BOOT"
    SysChroot "SYS_CHROOT"
    SysModule "SYS_MODULE"
    SysNice "SYS_NICE"
    SysPacct "SYS_PACCT"
    SysPtrace "SYS_PTRACE"
    SysRawio "SYS_RAWIO"
    SysResource "SYS_RESOURCE"
    SysTime "SYS_TIME"
    SysTtyConfig "SYS_TTY_CONFIG"
    Syslog "SYSLOG"
    WakeAlarm "WAKE_ALARM"
}

impl Capability {
    /// Reads a name in any case, with or without `CAP_`.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|capability| capability.as_str() == name)
    }

    /// Reads names with commas between them. The error names the one that is wrong, the nearest that exists and all others.
    pub fn parse_list(text: &str) -> Result<BTreeSet<Self>, String> {
        let read = |name: &str| Self::parse(name.trim()).ok_or_else(|| unknown(name.trim()));
        text.split(',').map(read).collect()
    }

    /// `NET_ADMIN,NET_RAW`; empty for none.
    pub fn list(capabilities: &BTreeSet<Self>) -> String {
        capabilities.iter().map(|capability| capability.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn unknown(name: &str) -> String {
    let names = || Capability::ALL.iter().map(|capability| capability.as_str());
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let guess = nearest(bare, names()).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    format!("there is no capability {name:?}; {guess}the capabilities are {}", names().collect::<Vec<_>>().join(", "))
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an instance is confined. The default is the tightest; each loosening is asked for by name.
///
/// What is missing where it was stored is the tightest: rows from before there was a choice were made so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Confinement {
    /// Root inside is nobody in particular outside.
    pub userns: bool,
    /// Capabilities beyond the default ones.
    pub cap_add: BTreeSet<Capability>,
}

impl Confinement {
    /// What this one allows beyond an earlier one, one sentence each.
    pub fn loosened_since(&self, earlier: &Confinement) -> Vec<String> {
        let root = (earlier.userns && !self.userns)
            .then(|| "runs without a user namespace: root inside is root on this machine".to_owned());
        let added = self.cap_add.difference(&earlier.cap_add);
        root.into_iter().chain(added.map(|capability| format!("is given {capability} beyond the default"))).collect()
    }
}

impl Default for Confinement {
    fn default() -> Self {
        Self { userns: true, cap_add: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessSpec;

    #[test]
    fn a_list_of_capabilities_is_read_and_a_wrong_name_is_answered_with_the_nearest() {
        let both = BTreeSet::from([Capability::NetAdmin, Capability::NetRaw]);
        assert_eq!(Capability::parse_list("net_raw, CAP_NET_ADMIN,NET_RAW"), Ok(both.clone()));
        assert_eq!(Capability::list(&both), "NET_ADMIN,NET_RAW");
        for (text, part) in [
            ("NET_ADMN", "did you mean NET_ADMIN?"),
            ("NET_RAW,cap_sys_tim", "did you mean SYS_TIME?"),
            ("ALL", "AUDIT_CONTROL, AUDIT_READ"),
            ("NET_RAW,", "no capability \"\""),
        ] {
            let error = Capability::parse_list(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn each_loosening_is_told_and_a_tightening_is_not() {
        let tight = Confinement::default();
        let loose = Confinement { userns: false, cap_add: BTreeSet::from([Capability::NetAdmin]) };
        assert_eq!(
            loose.loosened_since(&tight),
            [
                "runs without a user namespace: root inside is root on this machine",
                "is given NET_ADMIN beyond the default"
            ]
        );
        assert!(tight.loosened_since(&loose).is_empty() && loose.loosened_since(&loose).is_empty());
    }

    #[test]
    fn what_was_stored_before_there_was_a_choice_reads_as_the_tightest() {
        assert_eq!(serde_json::from_str::<Confinement>("{}").ok(), Some(Confinement::default()));
        let mut row = serde_json::to_value(ProcessSpec::default()).expect("json");
        let removed = row.as_object_mut().and_then(|row| row.remove("confinement"));
        assert!(removed.is_some());
        assert_eq!(serde_json::from_value::<ProcessSpec>(row).ok(), Some(ProcessSpec::default()));
    }

    #[test]
    fn a_capability_is_read_in_any_case_with_or_without_its_prefix() {
        for text in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_Net_Admin"] {
            assert_eq!(Capability::parse(text), Some(Capability::NetAdmin), "{text}");
        }
        for text in ["", "CAP_", "ALL", "NET-ADMIN"] {
            assert_eq!(Capability::parse(text), None, "{text}");
        }
        let json = |capability: &Capability| serde_json::to_string(capability).expect("json");
        assert!(Capability::ALL.iter().all(|capability| json(capability) == format!("{:?}", capability.as_str())));
    }
}
