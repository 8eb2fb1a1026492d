//! A blob on its way into a file: written beside the network, in pieces that are worth a call, and counted for who looks.
//!
//! `registry` hands it the bytes and verifies them; `stack` takes the file. It holds two pieces at most, however fast the
//! network and however slow the disk is.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::blobs::Packing;
use super::error::Fault;
use super::progress::Progress;
use super::registry::Sink;

/// Bytes that are written at once, give or take what comes in one read from the network.
const PIECE: usize = 512 * 1024;
const BEGINNING: usize = 4;

pub struct Spool<'a> {
    path: &'a Path,
    file: Arc<File>,
    /// What is to be written next, and its length.
    piece: Vec<Bytes>,
    length: usize,
    writing: Option<JoinHandle<io::Result<()>>>,
    progress: &'a Progress,
    number: usize,
    taken: u64,
    /// The first bytes, which tell how the blob is packed.
    beginning: Vec<u8>,
}

impl<'a> Spool<'a> {
    /// Into an empty file. The layer is the one with this number.
    pub fn create(path: &'a Path, progress: &'a Progress, number: usize) -> Result<Self, Fault> {
        let file = File::options().write(true).open(path).map_err(|error| failed(path, &error))?;
        let (piece, file) = (Vec::new(), Arc::new(file));
        Ok(Self { path, file, piece, length: 0, writing: None, progress, number, taken: 0, beginning: Vec::new() })
    }

    /// Waits until everything that was taken is in the file. Answers how it is packed.
    pub async fn finish(mut self) -> Result<Packing, Fault> {
        self.write().await?;
        self.written().await?;
        Ok(Packing::of(&self.beginning))
    }

    async fn write(&mut self) -> Result<(), Fault> {
        self.written().await?;
        let (piece, file) = (std::mem::take(&mut self.piece), self.file.clone());
        self.length = 0;
        let work = move || piece.iter().try_for_each(|bytes| (&*file).write_all(bytes));
        self.writing = Some(tokio::task::spawn_blocking(work));
        Ok(())
    }

    async fn written(&mut self) -> Result<(), Fault> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.await.map_err(io::Error::other).flatten().map_err(|error| failed(self.path, &error))
    }
}

impl Sink for Spool<'_> {
    async fn take(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let missing = BEGINNING.saturating_sub(self.beginning.len()).min(bytes.len());
        self.beginning.extend_from_slice(&bytes[..missing]);
        self.taken += bytes.len() as u64;
        self.length += bytes.len();
        self.piece.push(bytes);
        if self.length >= PIECE {
            self.write().await?;
            self.progress.fetched(self.number, self.taken);
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Fault> {
        self.written().await?;
        (self.length, self.taken) = (0, 0);
        self.piece.clear();
        self.beginning.clear();
        let emptied = self.file.set_len(0).and_then(|()| (&*self.file).rewind());
        emptied.map_err(|error| failed(self.path, &error))?;
        self.progress.fetched(self.number, 0);
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) -> Fault {
    Fault::host_at("write a layer to", path, error)
}
