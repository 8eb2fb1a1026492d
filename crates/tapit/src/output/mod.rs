//! What is printed: tables, pages and JSON on the standard output, talk on the standard error.
//!
//! Views come in, text goes out. Nothing here asks a server or decides what a command does.

mod apps;
mod events;
mod format;
mod images;
mod processes;
mod screen;
mod status;
mod table;

pub use apps::{app_page, apps_table};
pub use events::{event_lines, events_table};
pub use format::{chain, clean};
pub use images::{image_page, images_table};
pub use processes::{process_page, processes_table};
pub use screen::{Screen, Terminals};
pub use status::status_page;
