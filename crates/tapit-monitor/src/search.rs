//! Where the container's program is looked for, and what is said when it cannot be run.

use crate::sys::Errno;

pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As shells report a program that is not there, and one that cannot be run.
pub const NOT_FOUND: i32 = 127;
pub const NOT_RUNNABLE: i32 = 126;

/// The directories to look in, in order; empty for a name with a slash, which is a path.
pub fn directories<'a>(program: &[u8], path: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let searched = (!program.contains(&b'/')).then(|| path.split(|byte| *byte == b':'));
    // An empty entry means the working directory, as for every shell.
    searched.into_iter().flatten().map(|directory| if directory.is_empty() { b"." } else { directory })
}

/// What is known after some attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub status: i32,
    pub errno: Errno,
}

impl Verdict {
    pub const NOTHING_FOUND: Self = Self { status: NOT_FOUND, errno: Errno::NOENT };

    /// The first one that is there but cannot be run is worth more to know than that others are missing.
    pub fn after(self, errno: Errno) -> Self {
        let missing = errno == Errno::NOENT || errno == Errno::NOTDIR;
        if missing || self.status == NOT_RUNNABLE { self } else { Self { status: NOT_RUNNABLE, errno } }
    }

    pub fn meaning(self) -> &'static [u8] {
        match self.errno {
            Errno::NOENT => b": there is no such program in the image\n",
            Errno::ACCES => b": it is not executable for this user\n",
            Errno::NOEXEC => b": it is not a program for this machine\n",
            Errno::TOOBIG => b": its arguments and environment are too long\n",
            Errno::NOMEM => b": there is not enough memory\n",
            Errno::LOOP => b": too many symbolic links\n",
            Errno(_) => b": the kernel refuses\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_path_unless_it_is_a_path() {
        let found = |program: &str, path: &str| -> Vec<String> {
            let found = directories(program.as_bytes(), path.as_bytes());
            found.map(|directory| String::from_utf8_lossy(directory).into_owned()).collect()
        };
        assert_eq!(found("sh", "/bin:/usr/bin"), ["/bin", "/usr/bin"]);
        assert_eq!(found("sh", "/bin::"), ["/bin", ".", "."]);
        assert_eq!(found("./run", "/bin"), [""; 0]);
    }

    #[test]
    fn the_first_program_that_cannot_be_run_is_told() {
        let after =
            |errnos: &[Errno]| errnos.iter().fold(Verdict::NOTHING_FOUND, |verdict, errno| verdict.after(*errno));
        assert_eq!(after(&[Errno::NOENT, Errno::NOTDIR]), Verdict::NOTHING_FOUND);
        let refused = Verdict { status: NOT_RUNNABLE, errno: Errno::ACCES };
        assert_eq!(after(&[Errno::NOENT, Errno::ACCES, Errno::NOEXEC, Errno::NOENT]), refused);
    }
}
