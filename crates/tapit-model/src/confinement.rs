//! What confines an instance, as far as a user may loosen it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

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
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an instance is confined. The default is the tightest; each loosening is asked for by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Confinement {
    /// Root inside is nobody in particular outside.
    pub userns: bool,
    /// Capabilities beyond the default ones.
    pub cap_add: BTreeSet<Capability>,
}

impl Default for Confinement {
    fn default() -> Self {
        Self { userns: true, cap_add: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
