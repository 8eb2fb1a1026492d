//! Which crate may depend on which: the table behind the rooms of ARCHITECTURE.md.

use toml::{Table, Value};

use super::files::{SourceFile, Tree};
use super::{Finding, TidyError, Weight};

/// A crate of ours and what of ours it may use, in its code and its tests.
struct Layer {
    owner: &'static str,
    ours: &'static [&'static str],
    /// `None`: whatever is of use. Otherwise the complete list of other people's crates.
    others: Option<&'static [&'static str]>,
}

const LAYERS: &[Layer] = &[
    Layer { owner: "tapit-model", ours: &[], others: Some(&["jiff", "serde", "thiserror", "utoipa", "serde_json"]) },
    Layer { owner: "tapit-plan", ours: &["tapit-model"], others: Some(&["serde", "thiserror"]) },
    Layer {
        owner: "tapit-store",
        ours: &["tapit-model"],
        others: Some(&["rusqlite", "serde", "serde_json", "tempfile", "thiserror"]),
    },
    Layer { owner: "tapit-engine", ours: &["tapit-model"], others: None },
    // The program itself depends on nothing at all; these are its tests'.
    Layer { owner: "tapit-monitor", ours: &["tapit-model"], others: Some(&["nix", "serde_json", "tempfile"]) },
    Layer {
        owner: "tapit-container",
        ours: &["tapit-engine", "tapit-model", "tapit-monitor", "tapit-plan"],
        others: None,
    },
    Layer { owner: "tapit-ecs", ours: &["tapit-container", "tapit-engine", "tapit-model", "tapit-plan"], others: None },
    Layer { owner: "tapit-router", ours: &["tapit-model"], others: None },
    Layer {
        owner: "tapit-server",
        ours: &[
            "tapit-container",
            "tapit-ecs",
            "tapit-engine",
            "tapit-model",
            "tapit-plan",
            "tapit-router",
            "tapit-store",
        ],
        others: None,
    },
    Layer { owner: "tapit", ours: &["tapit-container", "tapit-model", "tapit-server"], others: None },
    Layer { owner: "xtask", ours: &[], others: None },
];

/// Other people's crates that one room alone may use, so that replacing them stays a matter of that room.
const SOLE_USERS: &[(&str, &str)] = &[
    ("libcontainer", "tapit-container"),
    ("reqwest", "tapit-container"),
    ("netlink-sys", "tapit-container"),
    ("rusqlite", "tapit-store"),
    ("axum", "tapit-server"),
    ("aws-", "tapit-ecs"),
];

pub fn findings(tree: &Tree) -> Result<Vec<Finding>, TidyError> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_manifest(file)) {
        findings.extend(manifest(file)?);
    }
    Ok(findings)
}

fn is_manifest(file: &SourceFile) -> bool {
    file.path.ends_with("/Cargo.toml") && file.owner().is_some()
}

fn manifest(file: &SourceFile) -> Result<Vec<Finding>, TidyError> {
    let parsed: Table =
        file.text.parse().map_err(|source| TidyError::Toml { path: file.path.clone().into(), source })?;
    let owner = file.owner().unwrap_or_default();
    let Some(layer) = LAYERS.iter().find(|layer| layer.owner == owner) else {
        let advice = format!("{owner} has no row; say in xtask/src/tidy/layers.rs what it may depend on");
        return Ok(vec![finding(file, owner, advice)]);
    };
    let dependencies = dependencies(&parsed);
    Ok(dependencies.iter().filter_map(|name| Some(finding(file, name, verdict(layer, name)?))).collect())
}

/// The names of everything depended on, for whatever purpose and platform.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => names.extend(table.keys().cloned()),
            "target" => names.extend(table.values().filter_map(Value::as_table).flat_map(dependencies)),
            _ => {}
        }
    }
    names
}

/// What is wrong with a dependency, if anything.
fn verdict(layer: &Layer, name: &str) -> Option<String> {
    let owner = layer.owner;
    // A crate names itself to turn on a feature for its own tests.
    if name == owner {
        return None;
    }
    if name.starts_with("tapit") {
        let legal = if layer.ours.is_empty() { "no crate of ours".to_owned() } else { layer.ours.join(", ") };
        return (!layer.ours.contains(&name)).then(|| format!("{owner} may depend on {legal}, not on {name}"));
    }
    let sole = SOLE_USERS.iter().find(|(other, user)| is_named(other, name) && *user != owner);
    if let Some((_, user)) = sole {
        return Some(format!("only {user} may depend on {name}; go through it"));
    }
    let others = layer.others?;
    (!others.contains(&name)).then(|| format!("{owner} may depend on {}, not on {name}", others.join(", ")))
}

/// A pattern that ends in a hyphen names a family of crates.
fn is_named(pattern: &str, name: &str) -> bool {
    if pattern.ends_with('-') { name.starts_with(pattern) } else { name == pattern }
}

fn finding(file: &SourceFile, name: &str, advice: String) -> Finding {
    let begins =
        |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    let line = file.text.lines().position(begins).map_or(1, |at| at + 1);
    Finding { weight: Weight::Error, path: file.path.clone(), line, rule: "layers", advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(owner: &str, text: &str) -> Vec<String> {
        let file = SourceFile::new(&format!("crates/{owner}/Cargo.toml"), text);
        manifest(&file).expect("TOML").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_may_use_what_its_row_says() {
        assert_eq!(
            check("tapit-plan", "[dependencies]\nserde.workspace = true\ntapit-model.workspace = true\n"),
            [""; 0]
        );
        assert_eq!(
            check("tapit-server", "[dependencies]\ntapit-store.workspace = true\naxum.workspace = true\n"),
            [""; 0]
        );
    }

    #[test]
    fn a_forbidden_dependency_is_named_with_its_line_also_for_tests_and_targets() {
        let found = check("tapit-plan", "[dependencies]\nserde = \"1\"\ntokio = \"1\"\n");
        assert_eq!(
            found,
            ["crates/tapit-plan/Cargo.toml:3: layers: tapit-plan may depend on serde, thiserror, not on tokio"]
        );
        assert_eq!(check("tapit-router", "[dev-dependencies]\ntapit-store.workspace = true\n").len(), 1);
        assert_eq!(check("tapit", "[target.'cfg(unix)'.dependencies]\nrusqlite = \"1\"\n").len(), 1);
        assert_eq!(check("tapit-container", "[dependencies]\naws-config = \"1\"\n").len(), 1);
    }

    #[test]
    fn an_unknown_crate_must_be_given_a_row() {
        assert!(check("tapit-new", "[package]\nname = \"tapit-new\"\n")[0].contains("has no row"));
    }
}
