//! The unpacking helper: a process of its own that turns a hostile tar into a directory, and nothing else.
//!
//! `images::helper` starts it by re-executing this program. It has no network, its own mounts, and the target as its
//! root, so that no path in the archive can lead outside; decompression and parsing happen behind the same wall. It
//! does not decide what to unpack and does not rename anything into place.

mod below;
mod copy_up;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod index;
mod layer;
mod place;
mod sandbox;
mod source;
mod sys;
mod tree;
mod trouble;

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

use crate::images::helper::{Answer, MAX_ORDER, Order};
use trouble::Trouble;

/// The hidden verb: reads one order from stdin, writes one answer to stdout.
pub fn unpack_main() -> ExitCode {
    let answer = match read_order() {
        Ok(order) => obey(&order).unwrap_or_else(Trouble::answer),
        Err(trouble) => trouble.answer(),
    };
    let written = serde_json::to_vec(&answer).map_err(std::io::Error::other).and_then(|mut line| {
        line.push(b'\n');
        std::io::stdout().write_all(&line)
    });
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_order() -> Result<Order, Trouble> {
    let mut line = Vec::new();
    let read = std::io::stdin().lock().take(MAX_ORDER).read_until(b'\n', &mut line);
    read.map_err(|error| Trouble::host("read the unpacking order", error))?;
    serde_json::from_slice(&line).map_err(|error| Trouble::host("understand the unpacking order", error))
}

fn obey(order: &Order) -> Result<Answer, Trouble> {
    match order {
        Order::Layer { .. } => layer::unpack(order).map(Answer::Unpacked),
        Order::Index { archive, spool, empty, budget } => index::run(archive, spool, empty, budget),
    }
}
