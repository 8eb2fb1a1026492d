//! The table: which system calls a container may make, and what a further capability opens.
//!
//! Allowed is what ordinary programs use. Refused with EPERM is what changes the host or the container's own walls, what
//! hands out objects that are not namespaced, and what has been the way into the kernel again and again without being
//! needed by a service. Calls that are in no list are newer than it and do not exist (ENOSYS).
//!
//! Close to the default of the large engines, apart from these, each on purpose:
//! - sockets only of the families that services use; an unknown family is answered as by a kernel without it. The rest
//!   (vsock, kernel crypto, CAN, TIPC, RDS, Bluetooth ...) is old code that any program could load and reach;
//! - netlink only for routes, socket lists and device events, as long as NET_ADMIN is not given;
//! - `unshare` of what is not a namespace (files, working directory) is allowed, since servers use it per thread;
//! - `modify_ldt`, the 32-bit ABIs and the two `ioctl`s that type into a terminal are refused;
//! - SYS_NICE opens `move_pages` and `migrate_pages`, too; SYS_ADMIN opens neither `syslog`, which has a capability of its
//!   own, nor the choice of a security label.
//!
//! `ptrace` and its relatives stay: debuggers are needed, the kernel checks the same as for signals and more, and since
//! Linux 4.8 a traced process cannot get around a filter.

use std::collections::BTreeSet;

use libc::*;
use tapit_model::Capability;

use super::compile::{Check, Matches, Rule, Rules, Verdict};
#[allow(clippy::wildcard_imports, reason = "a table of names")]
use super::numbers::*;

#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    SYS_accept, SYS_accept4, SYS_adjtimex, SYS_bind, SYS_brk, SYS_cachestat, SYS_capget, SYS_capset, SYS_chdir,
    SYS_clock_adjtime, SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_close_range,
    SYS_connect, SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
    SYS_epoll_pwait2, SYS_eventfd2, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_faccessat,
    SYS_faccessat2, SYS_fadvise64, SYS_fallocate, SYS_fanotify_mark, SYS_fchdir, SYS_fchmod, SYS_fchmodat,
    SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_fcntl, SYS_fdatasync, SYS_fgetxattr, SYS_file_getattr,
    SYS_file_setattr, SYS_flistxattr, SYS_flock, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat, SYS_fstatfs, SYS_fsync,
    SYS_ftruncate, SYS_futex, SYS_futex_requeue, SYS_futex_wait, SYS_futex_waitv, SYS_futex_wake,
    SYS_get_robust_list, SYS_getcpu, SYS_getcwd, SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid,
    SYS_getgroups, SYS_getitimer, SYS_getpeername, SYS_getpgid, SYS_getpid, SYS_getppid, SYS_getpriority,
    SYS_getrandom, SYS_getresgid, SYS_getresuid, SYS_getrlimit, SYS_getrusage, SYS_getsid, SYS_getsockname,
    SYS_getsockopt, SYS_gettid, SYS_gettimeofday, SYS_getuid, SYS_getxattr, SYS_getxattrat, SYS_inotify_add_watch,
    SYS_inotify_init1, SYS_inotify_rm_watch, SYS_io_cancel, SYS_io_destroy, SYS_io_getevents, SYS_io_pgetevents,
    SYS_io_setup, SYS_io_submit, SYS_ioprio_get, SYS_ioprio_set, SYS_kill, SYS_landlock_add_rule,
    SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_lgetxattr, SYS_linkat, SYS_listen, SYS_listmount,
    SYS_listxattr, SYS_listxattrat, SYS_llistxattr, SYS_lremovexattr, SYS_lseek, SYS_lsetxattr,
    SYS_lsm_get_self_attr, SYS_lsm_list_modules, SYS_madvise, SYS_map_shadow_stack, SYS_membarrier, SYS_memfd_create, SYS_memfd_secret,
    SYS_mincore, SYS_mkdirat, SYS_mknodat, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_mmap, SYS_mprotect,
    SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend, SYS_mq_unlink, SYS_mremap,
    SYS_mseal, SYS_msgctl, SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_msync, SYS_munlock, SYS_munlockall, SYS_munmap,
    SYS_name_to_handle_at, SYS_nanosleep, SYS_newfstatat, SYS_openat, SYS_openat2, SYS_pidfd_open,
    SYS_pidfd_send_signal, SYS_pipe2, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, SYS_ppoll, SYS_prctl,
    SYS_pread64, SYS_preadv, SYS_preadv2, SYS_prlimit64, SYS_process_mrelease, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_pselect6, SYS_ptrace, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read,
    SYS_readahead, SYS_readlinkat, SYS_readv, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_remap_file_pages,
    SYS_removexattr, SYS_removexattrat, SYS_renameat, SYS_renameat2, SYS_restart_syscall, SYS_rseq,
    SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo, SYS_rt_sigreturn,
    SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam,
    SYS_sched_getscheduler, SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam,
    SYS_sched_setscheduler, SYS_sched_yield, SYS_seccomp, SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop,
    SYS_sendfile, SYS_sendmmsg, SYS_sendmsg, SYS_sendto, SYS_set_robust_list, SYS_set_tid_address, SYS_setfsgid,
    SYS_setfsuid, SYS_setgid, SYS_setgroups, SYS_setitimer, SYS_setpgid, SYS_setpriority, SYS_setregid,
    SYS_setresgid, SYS_setresuid, SYS_setreuid, SYS_setrlimit, SYS_setsid, SYS_setsockopt, SYS_setuid, SYS_setxattr,
    SYS_setxattrat, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_shmget, SYS_shutdown, SYS_sigaltstack, SYS_signalfd4,
    SYS_splice, SYS_statfs, SYS_statmount, SYS_statx, SYS_symlinkat, SYS_sync, SYS_sync_file_range, SYS_syncfs,
    SYS_sysinfo, SYS_tee, SYS_tgkill, SYS_timer_create, SYS_timer_delete, SYS_timer_getoverrun, SYS_timer_gettime,
    SYS_timer_settime, SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime, SYS_times, SYS_tkill,
    SYS_truncate, SYS_umask, SYS_uname, SYS_unlinkat, SYS_utimensat, SYS_vmsplice, SYS_wait4, SYS_waitid, SYS_write,
    SYS_writev,
];

/// What later architectures have left out, because a newer call does the same. One is not made by programs at all but put
/// into them by the host's own tracing; refused, it would end them.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[c_long] = &[
    SYS_access, SYS_alarm, SYS_arch_prctl, SYS_chmod, SYS_chown, SYS_creat, SYS_dup2, SYS_epoll_create,
    SYS_epoll_wait, SYS_eventfd, SYS_fork, SYS_futimesat, SYS_get_thread_area, SYS_getdents, SYS_getpgrp,
    SYS_inotify_init, SYS_lchown, SYS_link, SYS_lstat, SYS_mkdir, SYS_mknod, SYS_open, SYS_pause, SYS_pipe,
    SYS_poll, SYS_readlink, SYS_rename, SYS_rmdir, SYS_select, SYS_set_thread_area, SYS_signalfd, SYS_stat,
    SYS_symlink, SYS_time, SYS_unlink, SYS_uretprobe, SYS_utime, SYS_utimes, SYS_vfork,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[c_long] = &[];

/// Refused whatever capabilities a container is given. Keys are not namespaced, asynchronous submission goes around the
/// filter itself, the others are either for the host alone or were only ever used in exploits.
#[rustfmt::skip]
const NEVER: &[c_long] = &[
    SYS_add_key, SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, SYS_kexec_file_load, SYS_kexec_load,
    SYS_keyctl, SYS_lsm_set_self_attr, SYS_nfsservctl, SYS_request_key, SYS_swapoff, SYS_swapon, SYS_userfaultfd,
];
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[SYS_modify_ldt];
#[cfg(target_arch = "aarch64")]
const NEVER_HERE: &[c_long] = &[];

/// Refused, unless one of the capabilities was added that they are for.
const OPENED_BY: &[(Capability, &[c_long])] = &[
    (
        Capability::SysAdmin,
        &[
            SYS_bpf,
            SYS_fanotify_init,
            SYS_fsconfig,
            SYS_fsmount,
            SYS_fsopen,
            SYS_fspick,
            SYS_lookup_dcookie,
            SYS_mount,
            SYS_mount_setattr,
            SYS_move_mount,
            SYS_open_tree,
            SYS_open_tree_attr,
            SYS_perf_event_open,
            SYS_pivot_root,
            SYS_quotactl,
            SYS_quotactl_fd,
            SYS_setdomainname,
            SYS_sethostname,
            SYS_setns,
            SYS_umount2,
            SYS_unshare,
            SYS_clone,
            SYS_clone3,
        ],
    ),
    (Capability::DacReadSearch, &[SYS_open_by_handle_at]),
    (Capability::SysBoot, &[SYS_reboot]),
    (Capability::SysChroot, &[SYS_chroot]),
    (Capability::SysModule, &[SYS_delete_module, SYS_finit_module, SYS_init_module]),
    (Capability::SysPacct, &[SYS_acct]),
    (Capability::SysPtrace, &[SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise]),
    (Capability::SysTime, &[SYS_clock_settime, SYS_settimeofday]),
    (Capability::SysTtyConfig, &[SYS_vhangup]),
    (
        Capability::SysNice,
        &[
            SYS_get_mempolicy,
            SYS_mbind,
            SYS_migrate_pages,
            SYS_move_pages,
            SYS_set_mempolicy,
            SYS_set_mempolicy_home_node,
        ],
    ),
    (Capability::Syslog, &[SYS_syslog]),
    (Capability::Bpf, &[SYS_bpf]),
    (Capability::Perfmon, &[SYS_perf_event_open]),
];
#[cfg(target_arch = "x86_64")]
const OPENED_HERE: &[(Capability, &[c_long])] = &[(Capability::SysRawio, &[SYS_ioperm, SYS_iopl])];
#[cfg(target_arch = "aarch64")]
const OPENED_HERE: &[(Capability, &[c_long])] = &[];

const REFUSED: Rule = Rule::Always(Verdict::Refuse(EPERM));
const FREE: Rule = Rule::Always(Verdict::Allow);

/// The flags that make namespaces. One more has a bit that `clone` uses for the signal of a child's end.
const NEW_NAMESPACE: u32 =
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) as u32;
const NEW_TIME_NAMESPACE: u32 = CLONE_NEWTIME as u32;

/// Plain Linux, its 32-bit form, either with the version number of old kernels, and the question which it is. All other
/// bits weaken what protects a process, such as random addresses.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, u32::MAX];

/// Puts a character into the input of the terminal, as if it had been typed there.
const TIOCLINUX: u32 = 0x541c;

/// The rules for a container that has the default capabilities and these besides.
pub fn rules(cap_add: &BTreeSet<Capability>) -> Rules {
    let mut rules = Rules::new();
    let mut set = |calls: &[c_long], rule: &Rule| {
        // Numbers are small and never negative.
        rules.extend(calls.iter().filter_map(|number| Some((u32::try_from(*number).ok()?, rule.clone()))));
    };
    set(ALLOWED, &FREE);
    set(ALLOWED_HERE, &FREE);
    set(&[SYS_clone], &Rule::Checked(vec![refused_bits(NEW_NAMESPACE)], Verdict::Allow));
    // Its flags lie in memory, where a filter cannot look. Libraries fall back to the old call when there is none.
    set(&[SYS_clone3], &Rule::Always(Verdict::Refuse(ENOSYS)));
    let unshare = refused_bits(NEW_NAMESPACE | NEW_TIME_NAMESPACE);
    set(&[SYS_personality], &personality());
    set(&[SYS_socket, SYS_socketpair], &socket(cap_add));
    set(&[SYS_ioctl], &ioctl());
    let gated = || OPENED_BY.iter().chain(OPENED_HERE);
    for (_, calls) in gated() {
        for call in calls.iter().filter(|call| **call != SYS_clone && **call != SYS_clone3) {
            set(&[*call], &REFUSED);
        }
    }
    set(&[SYS_unshare], &Rule::Checked(vec![unshare], Verdict::Allow));
    for (capability, calls) in gated() {
        if cap_add.contains(capability) {
            set(calls, &FREE);
        }
    }
    set(NEVER, &REFUSED);
    set(NEVER_HERE, &REFUSED);
    rules
}

fn refused_bits(bits: u32) -> Check {
    Check { argument: 0, matches: Matches::AnyBit(bits), verdict: Verdict::Refuse(EPERM) }
}

fn equal(argument: u32, value: u32, verdict: Verdict) -> Check {
    Check { argument, matches: Matches::Equal(value), verdict }
}

fn personality() -> Rule {
    let known = PERSONALITIES.iter().map(|persona| equal(0, *persona, Verdict::Allow)).collect();
    Rule::Checked(known, Verdict::Refuse(EPERM))
}

fn socket(cap_add: &BTreeSet<Capability>) -> Rule {
    let mut families = vec![AF_UNIX, AF_INET, AF_INET6];
    if cap_add.contains(&Capability::NetRaw) {
        families.push(AF_PACKET);
    }
    if cap_add.contains(&Capability::NetAdmin) {
        families.push(AF_NETLINK);
    }
    let mut checks: Vec<Check> =
        families.iter().map(|family| equal(0, family.unsigned_abs(), Verdict::Allow)).collect();
    let matches = Matches::Different(AF_NETLINK.unsigned_abs());
    checks.push(Check { argument: 0, matches, verdict: Verdict::Refuse(EAFNOSUPPORT) });
    for protocol in [NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT] {
        checks.push(equal(2, protocol.unsigned_abs(), Verdict::Allow));
    }
    Rule::Checked(checks, Verdict::Refuse(EPROTONOSUPPORT))
}

fn ioctl() -> Rule {
    let typed = [TIOCSTI as u32, TIOCLINUX].map(|request| equal(1, request, Verdict::Refuse(EPERM)));
    Rule::Checked(typed.to_vec(), Verdict::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = c_long> {
        let gated = OPENED_BY.iter().chain(OPENED_HERE).flat_map(|(_, calls)| calls.iter().copied());
        [ALLOWED, ALLOWED_HERE, NEVER, NEVER_HERE].into_iter().flatten().copied().chain(gated)
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let allowed: BTreeSet<_> = [ALLOWED, ALLOWED_HERE].into_iter().flatten().collect();
        assert_eq!(allowed.len(), ALLOWED.len() + ALLOWED_HERE.len(), "a call is listed twice");
        for number in NEVER.iter().chain(NEVER_HERE).chain(OPENED_BY.iter().flat_map(|(_, calls)| *calls)) {
            assert!(!allowed.contains(number), "{number} is allowed and refused");
        }
        assert!(all().all(|number| (0..1024).contains(&number)));
    }

    #[test]
    fn what_is_dangerous_is_refused_and_a_capability_opens_only_its_own() {
        let default = rules(&BTreeSet::new());
        let of = |rules: &Rules, call: c_long| rules.get(&(call as u32)).cloned();
        let dangerous = [
            SYS_mount,
            SYS_umount2,
            SYS_pivot_root,
            SYS_setns,
            SYS_bpf,
            SYS_perf_event_open,
            SYS_userfaultfd,
            SYS_io_uring_setup,
            SYS_keyctl,
            SYS_add_key,
            SYS_request_key,
            SYS_kexec_load,
            SYS_init_module,
            SYS_reboot,
            SYS_open_by_handle_at,
            SYS_move_mount,
            SYS_fsopen,
            SYS_fsmount,
            SYS_open_tree,
            SYS_mount_setattr,
        ];
        for call in dangerous {
            assert_eq!(of(&default, call), Some(REFUSED), "{call}");
        }
        assert_eq!(of(&default, SYS_clone3), Some(Rule::Always(Verdict::Refuse(ENOSYS))));
        assert_eq!(of(&default, 1000), None);
        let admin = rules(&BTreeSet::from([Capability::SysAdmin]));
        for call in [SYS_mount, SYS_setns, SYS_unshare, SYS_clone, SYS_clone3, SYS_bpf] {
            assert_eq!(of(&admin, call), Some(FREE), "{call}");
        }
        for call in [SYS_init_module, SYS_kexec_load, SYS_keyctl, SYS_io_uring_setup, SYS_reboot] {
            assert_eq!(of(&admin, call), Some(REFUSED), "{call}");
        }
        let network = rules(&BTreeSet::from([Capability::NetAdmin, Capability::NetRaw]));
        assert_ne!(of(&network, SYS_socket), of(&default, SYS_socket));
        assert_eq!(of(&network, SYS_mount), Some(REFUSED));
    }
}
