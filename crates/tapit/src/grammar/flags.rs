//! Flags that more than one command takes. A spelling takes a value everywhere or nowhere, because flags are read
//! before it is known which command they belong to; a test holds the table to it.

use tapit_model::Refusal;

#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the hyphens.
    pub long: &'static str,
    pub short: Option<char>,
    /// The form of the value, for help; `None` for a switch.
    pub value: Option<&'static str>,
    /// The legal values, where they are few.
    pub choices: &'static [&'static str],
    pub help: &'static str,
    /// The environment variable that says the same.
    pub variable: Option<&'static str>,
}

impl Flag {
    pub(super) const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Self {
        Self { long, short, value: None, choices: &[], help, variable: None }
    }

    /// Refuses a value that is not among the choices; `spelled` is how the user named the flag.
    pub fn check(&self, spelled: &str, value: &str) -> Result<(), Refusal> {
        if self.choices.is_empty() || self.choices.contains(&value) {
            return Ok(());
        }
        Err(Refusal::usage(format!("{spelled} {value:?} is not legal; give {}", self.choices.join(" or "))))
    }

    /// `-a, --app APP`.
    pub fn shown(&self) -> String {
        let short = self.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let value = self.value.map(|value| format!(" {value}")).unwrap_or_default();
        format!("{short}--{}{value}", self.long)
    }
}

pub static APP: Flag = Flag {
    long: "app",
    short: Some('a'),
    value: Some("APP"),
    choices: &[],
    help: "the app that the command is about",
    variable: Some("TAPIT_APP"),
};

pub static OUTPUT: Flag = Flag {
    long: "output",
    short: Some('o'),
    value: Some("table|json"),
    choices: &["table", "json"],
    help: "how data is printed; a table on a terminal, JSON otherwise",
    variable: None,
};

pub static HELP: Flag = Flag::switch("help", Some('h'), "show the help of the command");

pub static VERSION: Flag = Flag::switch("version", Some('V'), "print the version");

pub static WAIT: Flag =
    Flag::switch("wait", Some('w'), "return when steady or failed, with the exit status of the outcome");

pub static DRY_RUN: Flag = Flag::switch("dry-run", Some('n'), "print what would happen, change nothing");

pub static FORCE: Flag = Flag::switch("force", Some('f'), "do not ask; needed where there is no terminal to ask on");

/// Every command takes these.
pub static EVERYWHERE: &[&Flag] = &[&APP, &OUTPUT, &HELP, &VERSION];

/// Every command that changes something takes these.
pub static CHANGING: &[&Flag] = &[&WAIT, &DRY_RUN];

/// Those that take something away take these.
pub static REMOVING: &[&Flag] = &[&FORCE, &WAIT, &DRY_RUN];
