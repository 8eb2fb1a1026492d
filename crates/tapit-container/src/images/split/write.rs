//! Writes down what a tar holds besides content, while it is unpacked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{BLOCK, FILE, HELD, MAGIC, PART, RAW, REPLACED, STORY};
use crate::images::tarball::Extent;

/// Headers are much alike: higher levels gain little.
const LEVEL: i32 = 1;
/// Raw bytes that are gathered to one entry of the story.
const GATHERED: usize = 64 * 1024;

/// Appends blocks to a file.
struct Blocks {
    file: File,
    zstd: zstd::bulk::Compressor<'static>,
}

impl Blocks {
    fn new(file: File) -> io::Result<Self> {
        Ok(Self { file, zstd: zstd::bulk::Compressor::new(LEVEL)? })
    }

    fn append(&mut self, kind: u8, plain: &[u8]) -> io::Result<()> {
        let stored = self.zstd.compress(plain)?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let mut block = vec![kind];
        block.extend_from_slice(&length(&stored)?.to_le_bytes());
        block.extend_from_slice(&length(plain)?.to_le_bytes());
        block.extend_from_slice(&stored);
        self.file.write_all(&block)
    }
}

/// Takes the bytes of a tar that are no content as they come along, and a mark for each file whose content comes next.
pub struct Recorder {
    blocks: Blocks,
    story: Vec<u8>,
    raw: Vec<u8>,
}

impl Recorder {
    /// Begins an empty file. The attic appends to it as well, never in the midst of a block.
    pub fn start(mut file: File) -> io::Result<(Self, Attic)> {
        file.write_all(MAGIC)?;
        let attic = Attic { blocks: Blocks::new(file.try_clone()?)? };
        Ok((Self { blocks: Blocks::new(file)?, story: Vec::new(), raw: Vec::new() }, attic))
    }

    /// Says that the next bytes of the tar are these stretches of the file at `path`, below the layer's directory. To be
    /// called for each file that is not empty, one that is all hole included: so the attic counts them, too.
    pub fn content(&mut self, path: &Path, extents: &[Extent]) -> io::Result<()> {
        self.end_raw()?;
        let path = path.as_os_str().as_bytes();
        let length = u16::try_from(path.len()).map_err(io::Error::other)?;
        self.story.push(FILE);
        self.story.extend_from_slice(&length.to_le_bytes());
        self.story.extend_from_slice(path);
        for extent in extents.iter().filter(|extent| extent.length > 0) {
            self.story.push(PART);
            self.story.extend_from_slice(&extent.offset.to_le_bytes());
            self.story.extend_from_slice(&extent.length.to_le_bytes());
            self.end_full_blocks()?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.end_raw()?;
        for piece in self.story.chunks(BLOCK) {
            self.blocks.append(STORY, piece)?;
        }
        Ok(())
    }

    fn end_raw(&mut self) -> io::Result<()> {
        if !self.raw.is_empty() {
            let length = u32::try_from(self.raw.len()).map_err(io::Error::other)?;
            self.story.push(RAW);
            self.story.extend_from_slice(&length.to_le_bytes());
            self.story.append(&mut self.raw);
        }
        self.end_full_blocks()
    }

    fn end_full_blocks(&mut self) -> io::Result<()> {
        while self.story.len() >= BLOCK {
            self.blocks.append(STORY, &self.story[..BLOCK])?;
            self.story.drain(..BLOCK);
        }
        Ok(())
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.raw.extend_from_slice(bytes);
        if self.raw.len() >= GATHERED {
            self.end_raw()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps what files held that are replaced by a later member of the same layer.
pub struct Attic {
    blocks: Blocks,
}

impl Attic {
    /// Takes what a file held that is not empty.
    pub fn keep(&mut self, path: &Path, content: &mut impl Read) -> io::Result<()> {
        self.blocks.append(REPLACED, path.as_os_str().as_bytes())?;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            content.take(BLOCK as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            self.blocks.append(HELD, &piece)?;
        }
    }
}
