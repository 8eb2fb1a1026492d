//! Names and identities. A name that parsed is safe as a path component, a host label and a cgroup name.

use serde::{Deserialize, Serialize};

/// Why a name was refused; the text says what is legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the {noun} name is empty; use lower-case letters, digits and hyphens")]
    Empty { noun: &'static str },
    #[error("the {noun} name {name:?} has {len} characters; at most {max} are allowed")]
    TooLong { noun: &'static str, name: String, len: usize, max: usize },
    #[error(
        "{name:?} is not a legal {noun} name; use lower-case letters, digits and hyphens, with a letter or digit at both ends"
    )]
    Charset { noun: &'static str, name: String },
}

fn check(noun: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { noun });
    }
    let len = name.chars().count();
    if len > max {
        let name = name.chars().take(80).collect();
        return Err(NameError::TooLong { noun, name, len, max });
    }
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = legal(bytes[0]) && legal(bytes[bytes.len() - 1]);
    if ends && bytes.iter().all(|b| legal(*b) || *b == b'-') {
        Ok(())
    } else {
        Err(NameError::Charset { noun, name: name.to_owned() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $noun:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Parses a name: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, bounded in length.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check($noun, text, $max).map(|()| Self(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name!(
    /// The name of an app. It is a host label (`APP.localhost`), hence at most 63 long.
    AppName, "app", 63
);
name!(
    /// The name of a process within its app; a host label too (`PROCESS.APP.internal`).
    ProcessName, "process", 63
);

impl ProcessName {
    /// The public process: HTTP from outside goes to it.
    pub const PUBLIC: &'static str = "default";

    pub fn public() -> Self {
        Self(Self::PUBLIC.to_owned())
    }

    /// A name that is legal by its form.
    pub(crate) fn of_task(name: String) -> Self {
        Self(name)
    }

    pub fn is_public(&self) -> bool {
        self.0 == Self::PUBLIC
    }
}

/// A process in the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    pub app: AppName,
    pub process: ProcessName,
}

impl ProcessKey {
    pub fn new(app: &AppName, process: &ProcessName) -> Self {
        Self { app: app.clone(), process: process.clone() }
    }
}

impl std::fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.app, self.process)
    }
}

/// An instance within its app: `PROCESS.SERIAL` on the embedded engine (`web.7`). Never reused, also not after the
/// process was deleted and created again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// The embedded engine's identity: the serial counts the instances that the process ever had.
    pub fn of_serial(process: &ProcessName, serial: u64) -> Self {
        Self(format!("{process}.{serial}"))
    }

    /// An identity given by an engine of somebody else (an ECS task id), or typed by a user; only compared, never a path.
    pub fn opaque(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// An instance in the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceKey {
    pub app: AppName,
    pub id: InstanceId,
}

impl std::fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.app, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_inner_hyphens() {
        for good in ["a", "default", "auth-service", "0", "a--b", &"x".repeat(63)] {
            assert!(ProcessName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "é", "a b", "a\n", &"x".repeat(64)] {
            assert!(ProcessName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
