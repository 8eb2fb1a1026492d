//! The last step of the runtime in a container: becoming its process 1.
//!
//! The runtime calls this hook in the container, with its namespaces, root, user and capabilities in place and
//! `no_new_privs` set, once it was told to start. Process 1 is the program of `tapit-monitor`, which forks, so that the
//! child becomes the image's program and the parent stays as the smallest init there is. It comes from sealed memory and
//! is executed before any of the image's code runs, so no fork of the server's own program is ever within that code's
//! reach.

use std::ffi::CString;
use std::os::fd::RawFd;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use oci_spec::runtime::Spec;

use super::program::{self, Words};
use super::seccomp::Filter;
use super::turns;

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("there is no command to run: neither the image nor the process gives one")]
    Empty,
    #[error("the command or a variable holds a NUL byte")]
    Nul(#[from] std::ffi::NulError),
}

/// Descriptors that are open from the shim on until here.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors {
    pub program: RawFd,
    /// The file that the wait status of the image's program goes to.
    pub status: RawFd,
}

/// The program to run.
#[derive(Debug, Clone)]
pub struct Init {
    argv: Vec<CString>,
    environment: Vec<CString>,
    descriptors: Descriptors,
    /// The system calls that it may make, and all that it starts.
    filter: Filter,
}

impl Init {
    pub fn new(
        argv: &[String],
        environment: &[String],
        descriptors: Descriptors,
        filter: Filter,
    ) -> Result<Self, ProgramError> {
        argv.first().filter(|program| !program.is_empty()).ok_or(ProgramError::Empty)?;
        let all = |texts: &[String]| texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>();
        let mut words = vec![CString::new(tapit_monitor::init::NAME)?, CString::new(descriptors.status.to_string())?];
        let program: Vec<CString> = all(argv)?;
        words.extend(program);
        Ok(Self { argv: words, environment: all(environment)?, descriptors, filter })
    }
}

impl Executor for Init {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let failed = |act: &str, error: &dyn std::fmt::Display| ExecutorError::Other(format!("{act}: {error}"));
        fcntl(self.descriptors.status, FcntlArg::F_SETFD(FdFlag::empty()))
            .map_err(|error| failed("leaving the status file open", &error))?;
        // Without them it only makes way later.
        let _ = turns::take_short();
        self.filter.install().map_err(|error| failed("installing the filter of system calls", &error))?;
        let words = Words { argv: self.argv.clone(), environment: self.environment.clone() };
        let Err(error) = program::exec(self.descriptors.program, &words);
        Err(failed("becoming the container's first process", &error))
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // A program that is not there is an exit with status 127 and a line in the log, as from any shell.
        Ok(())
    }

    fn setup_envs(&self, _: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment is handed to the program itself; this process needs none.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_must_be_one_and_hold_no_nul() {
        let init = |argv: &[&str]| {
            let argv = argv.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let filter = Filter::default_profile(&std::collections::BTreeSet::new());
            Init::new(&argv, &["PATH=/x".to_owned()], Descriptors { program: 3, status: 4 }, filter)
        };
        assert!(matches!(init(&[]), Err(ProgramError::Empty)));
        assert!(matches!(init(&[""]), Err(ProgramError::Empty)));
        assert!(matches!(init(&["a\0b"]), Err(ProgramError::Nul(_))));
        let words = init(&["a", "b"]).expect("is legal").argv;
        assert_eq!(words, [c"tapit-init", c"4", c"a", c"b"].map(ToOwned::to_owned));
    }
}
