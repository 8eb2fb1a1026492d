//! Digests: of what lies in memory, and of what goes through.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};
use tapit_model::Digest;

pub fn sha256(bytes: &[u8]) -> Option<Digest> {
    digest(Sha256::new_with_prefix(bytes))
}

/// What was hashed so far. There is always a digest; the type cannot know it.
pub fn digest(hash: Sha256) -> Option<Digest> {
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::parse(&format!("sha256:{hex}"))
}

/// Counts and hashes what is written through it.
pub struct Hashed<W> {
    pub inner: W,
    pub hash: Sha256,
    pub bytes: u64,
}

impl<W> Hashed<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
