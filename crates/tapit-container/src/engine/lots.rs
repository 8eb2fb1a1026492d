//! What each app has to itself on this host: a network and a range of user ids. The book of it is plain data, kept in the
//! data directory's `network.json`.
//!
//! `apps.rs` writes it before an instance has any of it. It is read sceptically: what cannot be is left out, since the
//! instances that run tell the same in their orders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tapit_model::AppName;

use crate::instance::{FileError, IdRange, Survives, write_json};
use crate::linux::net::{Subnet, is_subnet_of_an_app};

/// Of one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Names its bridge.
    pub number: u32,
    pub subnet: Subnet,
    pub ids: IdRange,
}

pub type Lots = BTreeMap<AppName, Lot>;

/// Host ids of instances: far above those of people, services and other container programs, and below those that some
/// programs take for negative.
const FIRST_ID: u32 = 0x4000_0000;
const RANGES: u32 = (0x8000_0000 - FIRST_ID) / IdRange::COUNT;

/// The file. Fields that it does not know are those of older servers, which had one network for all apps.
#[derive(Serialize, Deserialize)]
struct Book<App> {
    tag: String,
    #[serde(default)]
    apps: BTreeMap<String, App>,
}

pub fn read(path: &Path, tag: &str) -> Lots {
    let read = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match read {
        Some(Book::<serde_json::Value> { tag: written, apps }) if written == tag => possible(apps),
        Some(_) | None => Lots::new(),
    }
}

/// Replaces the file as a whole. The end of the host ends all containers, and the lots may be given out anew.
pub fn write(path: &Path, tag: &str, lots: &Lots) -> Result<(), FileError> {
    let apps = lots.iter().map(|(app, lot)| (app.to_string(), *lot)).collect();
    write_json(path, &Book { tag: tag.to_owned(), apps }, Survives::ServerEnd)
}

/// Those that are well-formed and share nothing with an earlier one.
fn possible(apps: BTreeMap<String, serde_json::Value>) -> Lots {
    let mut lots = Lots::new();
    for (app, lot) in apps {
        let (Ok(app), Ok(lot)) = (AppName::parse(&app), serde_json::from_value::<Lot>(lot)) else { continue };
        let own_ids = (0..RANGES).any(|place| range(place) == lot.ids);
        let clash =
            |other: &Lot| other.number == lot.number || other.ids == lot.ids || other.subnet.overlaps(&lot.subnet);
        if own_ids && is_subnet_of_an_app(&lot.subnet) && !lots.values().any(clash) {
            lots.insert(app, lot);
        }
    }
    lots
}

/// The lowest number that no other app has.
pub fn free_number(lots: &Lots) -> u32 {
    let taken: BTreeSet<_> = lots.values().map(|lot| lot.number).collect();
    (0..).find(|number| !taken.contains(number)).unwrap_or(u32::MAX)
}

/// A range that no other app has. The search begins at a place that the tag decides, so that two servers on one host
/// seldom share one.
pub fn free_ids(lots: &Lots, tag: &str) -> Option<IdRange> {
    let taken: BTreeSet<_> = lots.values().map(|lot| lot.ids.base).collect();
    let first = u32::from_str_radix(tag, 16).unwrap_or(0);
    (0..RANGES).map(|step| range(first.wrapping_add(step) % RANGES)).find(|range| !taken.contains(&range.base))
}

fn range(place: u32) -> IdRange {
    IdRange { base: FIRST_ID + place * IdRange::COUNT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        AppName::parse(name).expect("a legal name")
    }

    fn lot(number: u32) -> Lot {
        let subnet = format!("10.64.{}.0/22", number * 4).parse().expect("a subnet");
        Lot { number, subnet, ids: range(number) }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("network.json");
        let lots = Lots::from([(app("blog"), lot(1)), (app("shop"), lot(0))]);
        write(&path, "00000a", &lots).expect("writable");
        assert_eq!(read(&path, "00000a"), lots);
        assert_eq!(read(&path, "00000b"), Lots::new(), "of another directory");
        assert_eq!(read(&dir.path().join("missing"), "00000a"), Lots::new());
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let good = serde_json::json!({"number": 1, "subnet": "10.64.4.0/22", "ids": {"base": FIRST_ID}});
        let with = |key: &str, value: serde_json::Value| {
            let mut lot = good.clone();
            lot[key] = value;
            lot
        };
        let apps = BTreeMap::from([
            ("a".to_owned(), good.clone()),
            ("b".to_owned(), with("number", 2.into())),
            ("c".to_owned(), with("subnet", "10.64.8.0/20".into())),
            ("d".to_owned(), with("ids", serde_json::json!({"base": 0}))),
            ("e".to_owned(), "text".into()),
            ("../f".to_owned(), good),
        ]);
        assert_eq!(possible(apps).into_keys().collect::<Vec<_>>(), [app("a")]);
    }

    #[test]
    fn the_book_of_an_older_server_holds_no_apps() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("network.json");
        let old = r#"{"bridge":"tapit-00000a","subnet":"10.64.0.0/20","gateway":"10.64.0.1","tag":"00000a"}"#;
        std::fs::write(&path, old).expect("writable");
        assert_eq!(read(&path, "00000a"), Lots::new());
    }

    #[test]
    fn numbers_and_ids_of_others_are_not_given_out() {
        let mut lots = Lots::from([(app("a"), lot(0)), (app("c"), lot(2))]);
        assert_eq!(free_number(&lots), 1);
        assert_eq!(free_ids(&lots, "000000"), Some(range(1)));
        assert_eq!(free_ids(&lots, "000002"), Some(range(3)));
        lots.insert(app("z"), Lot { ids: range(RANGES - 1), ..lot(5) });
        assert_eq!(free_ids(&lots, "003fff"), Some(range(1)), "it goes round");
        assert!(range(RANGES - 1).host(IdRange::COUNT - 1).is_some_and(|id| i32::try_from(id).is_ok()));
    }
}
