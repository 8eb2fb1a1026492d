//! The engine on AWS: the same processes as tasks on ECS Fargate.
//!
//! ```text
//! ProcessTarget ─► plan (pure) ─► Request ─► EcsApi ─► Answer ─► record and memory ─► ProcessObserved
//! ```
//!
//! ECS reconciles by itself, so nothing here starts or stops an instance but what runs only once: services are told what to
//! run and how many of it, and are looked at. What is made has derived names and tags, and is recorded, so that every call can be made again.

mod account;
pub mod api;
#[cfg(feature = "aws")]
pub mod aws;
mod books;
mod definition;
pub mod doctor;
pub mod engine;
pub mod images;
mod logs;
mod look;
pub mod meter;
mod names;
mod plan;
mod quote;
mod record;
mod settings;
mod sight;
#[cfg(feature = "sim")]
pub mod sim;

pub use engine::{Ecs, EcsConfig, TaskImages};
pub use names::Install;
pub use settings::EcsSettings;
