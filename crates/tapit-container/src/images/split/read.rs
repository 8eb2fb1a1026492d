//! Puts a layer's tar together again from what was written down and the files of the layer.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tapit_model::Digest;

use super::super::hash::{self, Hashed};
use super::{BLOCK, FILE, HEADER, HELD, MAGIC, PART, RAW, REPLACED, STORY};

const PIECE: usize = 256 * 1024;
/// What zstd may make of a block that cannot be compressed.
const MAX_STORED: usize = BLOCK + (BLOCK >> 7) + 64;

#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    #[error("read what was written down of the layer")]
    Read(#[source] io::Error),
    #[error("what was written down of the layer is damaged: {0}")]
    Damaged(&'static str),
    #[error("read the layer's file {path}")]
    Content { path: PathBuf, source: io::Error },
    #[error("hand out the layer")]
    Write(#[source] io::Error),
    #[error("what is on disk of the layer has the digest {found}; it was changed since it was unpacked")]
    Changed { found: String },
}

/// Writes the tar of a layer to `sink`. `open` opens a file of the layer by its path, and must not be led out of it.
///
/// Only the end tells whether all of it was right: what the sink was given counts for nothing if this fails.
pub fn assemble(
    split: &File,
    open: impl FnMut(&Path) -> io::Result<File>,
    diff_id: &Digest,
    sink: impl Write,
) -> Result<(), SplitError> {
    let (story, attic) = scan(split)?;
    let story = Story { split, blocks: story.into_iter(), piece: Vec::new(), at: 0 };
    let mut player = Player { split, story, attic, open, sink: Hashed::new(sink), buffer: vec![0; PIECE] };
    player.play()?;
    player.sink.flush().map_err(SplitError::Write)?;
    match hash::digest(player.sink.hash) {
        Some(found) if found == *diff_id => Ok(()),
        found => Err(SplitError::Changed { found: found.map(String::from).unwrap_or_default() }),
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
struct Block {
    offset: u64,
    stored: usize,
    plain: usize,
}

/// A file that was replaced: the blocks of what it held.
type Held = Vec<Block>;

/// The blocks of the story, and what was replaced, by path.
type Scanned = (Vec<Block>, BTreeMap<Vec<u8>, VecDeque<Held>>);

fn scan(split: &File) -> Result<Scanned, SplitError> {
    let mut magic = [0; MAGIC.len()];
    read_at(split, &mut magic, 0)?;
    if magic != *MAGIC {
        return Err(SplitError::Damaged("it does not begin as it should"));
    }
    let end = split.metadata().map_err(SplitError::Read)?.len();
    let mut at = MAGIC.len() as u64;
    let (mut story, mut attic) = (Vec::new(), BTreeMap::<Vec<u8>, VecDeque<Held>>::new());
    let mut replaced: Option<(Vec<u8>, Held)> = None;
    while at < end {
        let (kind, block) = block_at(split, at)?;
        at = block.offset + block.stored as u64;
        match (kind, &mut replaced) {
            (STORY, _) => story.push(block),
            (REPLACED, before) => {
                let next = (plain(split, block)?, Vec::new());
                if let Some((path, held)) = before.replace(next) {
                    attic.entry(path).or_default().push_back(held);
                }
            }
            (HELD, Some((_, held))) => held.push(block),
            (_, _) => return Err(SplitError::Damaged("it has a block of an unknown kind")),
        }
    }
    if let Some((path, held)) = replaced {
        attic.entry(path).or_default().push_back(held);
    }
    Ok((story, attic))
}

fn block_at(split: &File, at: u64) -> Result<(u8, Block), SplitError> {
    let mut header = [0; HEADER];
    read_at(split, &mut header, at)?;
    let [kind, a, b, c, d, e, f, g, h] = header;
    let length = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    let (stored, plain) = (length([a, b, c, d]), length([e, f, g, h]));
    if stored > MAX_STORED || plain > BLOCK {
        return Err(SplitError::Damaged("it has a block that is too large"));
    }
    Ok((kind, Block { offset: at + HEADER as u64, stored, plain }))
}

fn plain(split: &File, block: Block) -> Result<Vec<u8>, SplitError> {
    let mut stored = vec![0; block.stored];
    read_at(split, &mut stored, block.offset)?;
    let plain = zstd::bulk::decompress(&stored, block.plain).map_err(SplitError::Read)?;
    if plain.len() == block.plain { Ok(plain) } else { Err(SplitError::Damaged("it has a block that is too short")) }
}

fn read_at(split: &File, buffer: &mut [u8], at: u64) -> Result<(), SplitError> {
    split.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SplitError::Damaged("it ends early"),
        _ => SplitError::Read(error),
    })
}

/// The blocks of the story as one stream.
struct Story<'a> {
    split: &'a File,
    blocks: std::vec::IntoIter<Block>,
    piece: Vec<u8>,
    at: usize,
}

impl Story<'_> {
    /// Up to `most` bytes, none at the end.
    fn some(&mut self, most: usize) -> Result<&[u8], SplitError> {
        while self.at == self.piece.len() {
            let Some(block) = self.blocks.next() else { return Ok(&[]) };
            self.piece = plain(self.split, block)?;
            self.at = 0;
        }
        let from = self.at;
        self.at = self.piece.len().min(from.saturating_add(most));
        Ok(&self.piece[from..self.at])
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), SplitError> {
        while !buffer.is_empty() {
            let some = self.some(buffer.len())?;
            let got = some.len();
            if got == 0 {
                return Err(SplitError::Damaged("its story ends early"));
            }
            buffer[..got].copy_from_slice(some);
            buffer = &mut buffer[got..];
        }
        Ok(())
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], SplitError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// Where the parts that follow in the story lie.
enum Source {
    Live(PathBuf, File),
    Held(Held),
}

struct Player<'a, O, W> {
    split: &'a File,
    story: Story<'a>,
    attic: BTreeMap<Vec<u8>, VecDeque<Held>>,
    open: O,
    sink: Hashed<W>,
    buffer: Vec<u8>,
}

impl<O: FnMut(&Path) -> io::Result<File>, W: Write> Player<'_, O, W> {
    fn play(&mut self) -> Result<(), SplitError> {
        let mut source = None;
        loop {
            let op = match self.story.some(1)? {
                [] => return Ok(()),
                [op, ..] => *op,
            };
            match (op, &source) {
                (RAW, _) => self.raw()?,
                (FILE, _) => source = Some(self.file()?),
                (PART, Some(source)) => self.part(source)?,
                (_, _) => return Err(SplitError::Damaged("its story does not make sense")),
            }
        }
    }

    fn raw(&mut self) -> Result<(), SplitError> {
        let mut left = u32::from_le_bytes(self.story.number()?) as usize;
        while left > 0 {
            let some = self.story.some(left)?;
            if some.is_empty() {
                return Err(SplitError::Damaged("its story ends early"));
            }
            self.sink.write_all(some).map_err(SplitError::Write)?;
            left -= some.len();
        }
        Ok(())
    }

    fn file(&mut self) -> Result<Source, SplitError> {
        let mut path = vec![0; usize::from(u16::from_le_bytes(self.story.number()?))];
        self.story.fill(&mut path)?;
        if let Some(held) = self.attic.get_mut(&path).and_then(VecDeque::pop_front) {
            return Ok(Source::Held(held));
        }
        let path = PathBuf::from(OsString::from_vec(path));
        match (self.open)(&path) {
            Ok(file) => Ok(Source::Live(path, file)),
            Err(source) => Err(SplitError::Content { path, source }),
        }
    }

    fn part(&mut self, source: &Source) -> Result<(), SplitError> {
        let offset = u64::from_le_bytes(self.story.number()?);
        let length = u64::from_le_bytes(self.story.number()?);
        match source {
            Source::Live(path, file) => self.live(path, file, offset, length),
            Source::Held(held) => self.held(held, offset, length),
        }
    }

    fn live(&mut self, path: &Path, file: &File, offset: u64, length: u64) -> Result<(), SplitError> {
        let mut done = 0;
        while done < length {
            let want = self.buffer.len().min(usize::try_from(length - done).unwrap_or(PIECE));
            let piece = &mut self.buffer[..want];
            file.read_exact_at(piece, offset.saturating_add(done))
                .map_err(|source| SplitError::Content { path: path.to_owned(), source })?;
            self.sink.write_all(piece).map_err(SplitError::Write)?;
            done += want as u64;
        }
        Ok(())
    }

    fn held(&mut self, held: &Held, offset: u64, length: u64) -> Result<(), SplitError> {
        let (mut at, end) = (offset, offset.saturating_add(length));
        while at < end {
            // All blocks but the last are full.
            let nth = usize::try_from(at / BLOCK as u64).unwrap_or(usize::MAX);
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(usize::MAX);
            let short = SplitError::Damaged("it lacks a part of a file that was replaced");
            let Some(block) = held.get(nth) else { return Err(short) };
            let plain = plain(self.split, *block)?;
            let until = plain.len().min(within.saturating_add(usize::try_from(end - at).unwrap_or(BLOCK)));
            let Some(piece) = plain.get(within..until).filter(|piece| !piece.is_empty()) else { return Err(short) };
            self.sink.write_all(piece).map_err(SplitError::Write)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}
