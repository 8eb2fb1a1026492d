//! An account of 200 apps and 2,000 processes: made, kept, troubled, always within what AWS lets an account call.

mod limits;
mod measured;
#[path = "../support/paused.rs"]
mod paused;
mod town;
mod within;
