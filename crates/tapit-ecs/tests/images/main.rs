//! Images on their way to ECS, with a registry of Debian's package `docker-registry` as that of the account, and an
//! account that only knows registries.

mod account;
// The tests of the images themselves use these as well, and more of each.
#[allow(dead_code)]
#[path = "../../../tapit-container/tests/images/archives.rs"]
mod archives;
mod carried;
#[allow(dead_code)]
#[path = "../../../tapit-container/tests/images/debian_registry.rs"]
mod debian_registry;
#[allow(dead_code)]
#[path = "../../../tapit-container/tests/images/fake_registry.rs"]
mod fake_registry;
mod fetched;
mod trouble;
