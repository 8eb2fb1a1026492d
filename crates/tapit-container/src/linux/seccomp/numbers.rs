//! Numbers of system calls that the C library's bindings do not name yet, on one architecture or on both.

#![allow(non_upper_case_globals, reason = "named as the kernel and the bindings name all others")]

use libc::c_long;

// From 424 on, numbers are the same everywhere.
pub const SYS_cachestat: c_long = 451;
pub const SYS_map_shadow_stack: c_long = 453;
pub const SYS_futex_wake: c_long = 454;
pub const SYS_futex_wait: c_long = 455;
pub const SYS_futex_requeue: c_long = 456;
pub const SYS_statmount: c_long = 457;
pub const SYS_listmount: c_long = 458;
pub const SYS_lsm_get_self_attr: c_long = 459;
pub const SYS_lsm_set_self_attr: c_long = 460;
pub const SYS_lsm_list_modules: c_long = 461;
pub const SYS_setxattrat: c_long = 463;
pub const SYS_getxattrat: c_long = 464;
pub const SYS_listxattrat: c_long = 465;
pub const SYS_removexattrat: c_long = 466;
pub const SYS_open_tree_attr: c_long = 467;
pub const SYS_file_getattr: c_long = 468;
pub const SYS_file_setattr: c_long = 469;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use libc::c_long;

    pub const SYS_io_pgetevents: c_long = 333;
    pub const SYS_uretprobe: c_long = 335;
}
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use libc::c_long;

    pub const SYS_io_pgetevents: c_long = 292;
    pub const SYS_fchmodat2: c_long = 452;
    pub const SYS_renameat: c_long = 38;
    pub const SYS_sync_file_range: c_long = 84;
    pub const SYS_getrlimit: c_long = 163;
    pub const SYS_setrlimit: c_long = 164;
}
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
