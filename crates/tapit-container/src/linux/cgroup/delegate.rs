//! Whether a cgroup was handed over to be divided: systemd marks such groups with an extended attribute.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// systemd sets both, the second since version 251 and where the kernel can.
const MARKS: [&CStr; 2] = [c"trusted.delegate", c"user.delegate"];

pub fn is_delegated(group: &Path) -> bool {
    let Ok(path) = CString::new(group.as_os_str().as_bytes()) else { return false };
    MARKS.iter().any(|mark| is_one(&path, mark))
}

fn is_one(path: &CStr, mark: &CStr) -> bool {
    let mut value = [0u8; 1];
    // SAFETY: both names end in a zero byte and live through the call, which writes at most the given length into `value`.
    let len = unsafe { libc::getxattr(path.as_ptr(), mark.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    len == 1 && value == *b"1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_the_mark_is_not_delegated() {
        assert!(!is_delegated(Path::new("/sys/fs/cgroup")));
        assert!(!is_delegated(Path::new("/nonexistent")));
    }
}
