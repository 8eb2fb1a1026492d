//! The kinds of engines, as far as they differ in what they can run.

use serde::{Deserialize, Serialize};

/// What instances run on. It decides which configurations are legal and which changes need new instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Containers on the server's own machine: of any size, which can be changed while they run.
    #[default]
    Embedded,
    /// Tasks on ECS Fargate: of sizes from a table, fixed when a task starts.
    Ecs,
}

impl EngineKind {
    pub const ALL: [EngineKind; 2] = [EngineKind::Embedded, EngineKind::Ecs];

    pub fn as_str(self) -> &'static str {
        match self {
            EngineKind::Embedded => "embedded",
            EngineKind::Ecs => "ecs",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in EngineKind::ALL {
            assert_eq!(EngineKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()));
        }
        assert_eq!(EngineKind::parse("docker"), None);
    }
}
