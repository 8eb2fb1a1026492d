//! What is printed: tables, pages and JSON on the standard output, talk on the standard error.
//!
//! Views come in, text goes out. Nothing here asks a server or decides what a command does.

mod apps;
mod differences;
mod doctor;
mod events;
mod format;
mod images;
mod logs;
mod processes;
mod registries;
mod screen;
mod status;
mod table;
mod tasks;
mod top;
mod transfer;

pub use apps::{app_page, apps_table};
pub use differences::differences_table;
pub use doctor::doctor_page;
pub use events::{event_lines, events_table};
pub use format::{bytes, clean, command as command_line, layers};
pub use images::{image_page, images_table};
pub use logs::LogLines;
pub use processes::{process_page, processes_table};
pub use registries::{registries_table, registry_page};
pub use screen::{Screen, Terminals};
pub use status::status_page;
pub use tasks::{task_page, tasks_table};
pub use top::{TopRow, top_rows, top_screen, top_table};
pub use transfer::{transfer_bars, transfer_lines};
