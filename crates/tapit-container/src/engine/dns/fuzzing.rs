//! Tries the answering of questions with any bytes. See `crate::fuzzing`.

use std::net::Ipv4Addr;

use tapit_model::{AppName, ProcessName};

use super::QUESTION_MAX;
use super::answer::{Asked, Directory, Reaction, failure, react};
use crate::linux::net::Subnet;

/// What every asker takes over UDP.
const DATAGRAM: usize = 512;

/// `api` has many instances, `sick` none, and the first addresses are `api`'s.
struct Shop;

impl Directory for Shop {
    fn healthy(&self, process: &ProcessName) -> Option<Vec<Ipv4Addr>> {
        match process.as_str() {
            "api" => Some((2..40).map(|last| Ipv4Addr::new(10, 64, 0, last)).collect()),
            "sick" => Some(Vec::new()),
            _ => None,
        }
    }

    fn owner(&self, address: Ipv4Addr) -> Option<ProcessName> {
        ProcessName::parse("api").ok().filter(|_| address.octets()[3] < 9)
    }
}

/// A question of any bytes: what is answered is an answer to it, and fits into the smallest datagram.
pub fn question(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(QUESTION_MAX)];
    let app = AppName::parse("shop").unwrap_or_else(|error| panic!("{error}"));
    let asked = Asked { app: &app, subnet: Subnet::around(Ipv4Addr::new(10, 64, 0, 0), 22), turn: bytes.len() };
    match react(bytes, &asked, &Shop) {
        Reaction::Answer(answer) => answers(bytes, &answer),
        Reaction::Forward | Reaction::Ignore => {}
    }
    if let Some(answer) = failure(bytes) {
        answers(bytes, &answer);
    }
}

fn answers(question: &[u8], answer: &[u8]) {
    assert!(answer.len() >= 12 && answer.len() <= DATAGRAM, "an answer of {} bytes", answer.len());
    assert_eq!(answer[..2], question[..2], "an answer to another question");
    assert!(answer[2] & 0x80 != 0, "an answer that says it is a question");
}
