//! Writes a layer into a spool file, compressed, and says what it came to.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use tapit_model::Digest;
use tempfile::{NamedTempFile, TempPath};

use super::super::error::Fault;
use super::super::hash::{self, Hashed};

const BUFFER: usize = 256 << 10;
/// Higher levels take twice the time for a few per cent.
const LEVEL: u32 = 6;

/// A compressed layer.
pub struct Packed {
    pub path: TempPath,
    pub digest: Digest,
    pub size: u64,
}

/// Tells work on another thread, when it is dropped, that nobody waits for it.
#[derive(Default)]
pub struct GiveUp(Arc<AtomicBool>);

impl GiveUp {
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Packs what `write` writes. The same bytes give the same blob: there is no time in it.
pub fn pack(
    spool: &Path,
    given_up: &AtomicBool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Fault>,
) -> Result<Packed, Fault> {
    let failed = |error: io::Error| Fault::host("compress a layer", &error);
    let (file, path) = NamedTempFile::new_in(spool).map_err(failed)?.into_parts();
    let hashed = Hashed::new(BufWriter::with_capacity(BUFFER, file));
    let mut sink = Gate { inner: GzEncoder::new(hashed, Compression::new(LEVEL)), given_up };
    write(&mut sink)?;
    let mut hashed = sink.inner.finish().map_err(failed)?;
    hashed.inner.flush().map_err(failed)?;
    let digest = hash::digest(hashed.hash).ok_or_else(|| Fault::invalid("a layer has no digest"))?;
    Ok(Packed { path, digest, size: hashed.bytes })
}

/// Closed once nobody waits for what goes through.
struct Gate<'a, W> {
    inner: W,
    given_up: &'a AtomicBool,
}

impl<W: Write> Write for Gate<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::images::hash::sha256;

    fn packed(directory: &Path, bytes: &[u8]) -> Packed {
        let write = |sink: &mut dyn Write| sink.write_all(bytes).map_err(|error| Fault::host("write", &error));
        pack(directory, &AtomicBool::new(false), write).expect("packed")
    }

    #[test]
    fn a_layer_is_packed_to_the_same_blob_each_time_and_its_digest_is_told() {
        let spool = tempfile::tempdir().expect("a directory");
        let content = b"a layer ".repeat(100_000);
        let (one, other) = (packed(spool.path(), &content), packed(spool.path(), &content));
        let blob = std::fs::read(&one.path).expect("the blob");
        assert_eq!((Some(&one.digest), one.size), (sha256(&blob).as_ref(), blob.len() as u64));
        assert_eq!((&one.digest, one.size), (&other.digest, other.size));
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&*blob).read_to_end(&mut text).expect("gzip");
        assert!(text == content);
    }

    #[test]
    fn work_that_nobody_waits_for_ends_and_leaves_no_file() {
        let spool = tempfile::tempdir().expect("a directory");
        let given_up = GiveUp::default();
        let flag = given_up.flag();
        drop(given_up);
        let write = |sink: &mut dyn Write| sink.write_all(b"x").map_err(|error| Fault::host("write", &error));
        assert!(pack(spool.path(), &flag, write).is_err());
        assert_eq!(std::fs::read_dir(spool.path()).expect("the directory").count(), 0);
    }
}
