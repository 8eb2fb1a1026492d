//! The command line from argv to exit status, against surroundings and servers made for each test.

mod build;
mod completion;
mod conversation;
mod docs;
mod exec;
mod help;
mod images;
mod lines;
mod logs;
mod reference;
mod registry;
mod select;
mod server;
mod support;
mod top;
mod waiting;
mod wrong;
