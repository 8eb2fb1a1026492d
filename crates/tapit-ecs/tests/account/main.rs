//! The simulated account is held to what AWS does, since the engine's other tests believe it.

mod balancing;
mod definitions;
mod faults;
mod lag;
mod logs;
mod many;
mod networks;
mod rollouts;
mod runs;
mod services;
mod spot;
mod stage;
mod tasks;
