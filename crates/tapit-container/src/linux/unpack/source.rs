//! Blobs as streams: found in a file, checked, decompressed, counted and hashed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use sha2::{Digest as _, Sha256};
use tapit_model::Digest;

use super::trouble::Trouble;
use crate::images::blobs::Packing;
use crate::images::hash;
use crate::images::helper::Span;

const BUFFER: usize = 128 * 1024;

/// A file that was opened before the helper shut itself in.
pub struct Source {
    file: File,
    offset: u64,
    length: u64,
}

impl Source {
    pub fn open(span: &Span) -> Result<Self, Trouble> {
        let failed = |error| Trouble::Host(format!("open {}: {error}", span.file.display()));
        // Asked before it is opened: a pipe that nobody writes to would never open.
        if !std::fs::metadata(&span.file).map_err(failed)?.is_file() {
            return Err(Trouble::bad(format!("{} is not a file", span.file.display())));
        }
        let file = File::open(&span.file).map_err(failed)?;
        let length = span.length.unwrap_or(u64::MAX);
        Ok(Self { file, offset: span.offset, length })
    }

    /// The stored bytes, from their start.
    pub fn stored(&self) -> Result<Take<&File>, Trouble> {
        self.rewound().map_err(|error| Trouble::host("seek in the archive", error))
    }

    fn rewound(&self) -> io::Result<Take<&File>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }
}

/// Pieces that are decompressed before they are asked for, and their size.
const AHEAD: usize = 8;
const PIECE: usize = 256 * 1024;

/// A stream that is decompressed in a thread of its own, so that files are written meanwhile. The thread ends with its
/// stream, or soon after nobody reads any more; it shares the walls of the helper.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Pieces that were read, to be filled again.
    spent: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Starts on the stored bytes of a source, which nobody else may read from then on: they would share its position.
    pub fn start(source: Source) -> Result<Self, Trouble> {
        let packing = sniff(BufReader::new(source.stored()?).fill_buf().map_err(Trouble::reading)?)?;
        let (full, pieces) = mpsc::sync_channel(AHEAD);
        let (spent, empty) = mpsc::channel();
        let work = move || {
            if let Err(error) = pump(packing, &source, &full, &empty) {
                // Nobody listens: the reader has given up before.
                let _ = full.send(Err(error));
            }
        };
        let started = std::thread::Builder::new().name("decompress".to_owned()).spawn(work);
        started.map_err(|error| Trouble::host("start a thread to decompress in", error))?;
        Ok(Self { pieces, spent, piece: Vec::new(), at: 0 })
    }
}

/// Decompresses to the end, or until nobody reads any more.
fn pump(
    packing: Packing,
    source: &Source,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut plain = decoder(packing, BufReader::with_capacity(BUFFER, source.rewound()?))?;
    loop {
        let mut piece = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        piece.clear();
        let got = (&mut plain).take(PIECE as u64).read_to_end(&mut piece)?;
        if got == 0 || full.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // The thread has hung up: that was the end.
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            let _ = self.spent.send(std::mem::replace(&mut self.piece, piece?));
            self.at = 0;
        }
        let got = buffer.len().min(self.piece.len() - self.at);
        buffer[..got].copy_from_slice(&self.piece[self.at..self.at + got]);
        self.at += got;
        Ok(got)
    }
}

/// The digest of everything that is left to read.
pub fn digest_of(mut reader: impl Read) -> Result<Digest, Trouble> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return digest(hash),
            Ok(got) => hash.update(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::reading(error)),
        }
    }
}

fn digest(hash: Sha256) -> Result<Digest, Trouble> {
    hash::digest(hash).ok_or_else(|| Trouble::host("write a digest", "there is none"))
}

/// Tells by the first bytes how it is packed: media types are not always true.
fn sniff(start: &[u8]) -> Result<Packing, Trouble> {
    let unsupported = |name: &str| Trouble::bad(format!("it is compressed with {name}; use gzip, zstd or none"));
    match start {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(unsupported("xz")),
        [b'B', b'Z', b'h', ..] => Err(unsupported("bzip2")),
        [b'P', b'K', 3, 4, ..] => Err(unsupported("zip")),
        _ => Ok(Packing::of(start)),
    }
}

/// The stream as it was before compression.
pub fn decompress<'a>(reader: impl Read + 'a) -> Result<(Packing, Box<dyn Read + 'a>), Trouble> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let packing = sniff(reader.fill_buf().map_err(Trouble::reading)?)?;
    let plain = decoder(packing, reader).map_err(|error| Trouble::host("start to decompress", error))?;
    Ok((packing, plain))
}

fn decoder<'a>(packing: Packing, reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::Plain => Box::new(reader),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
    })
}

/// Refuses to hand out more than a budget, and hashes what it hands out.
pub struct Metered<R> {
    inner: R,
    budget: u64,
    read: u64,
    hash: Sha256,
}

impl<R: Read> Metered<R> {
    pub fn new(inner: R, budget: u64) -> Self {
        Self { inner, budget, read: 0, hash: Sha256::new() }
    }

    pub fn digest(self) -> Result<Digest, Trouble> {
        digest(self.hash)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.read += got as u64;
        if self.read > self.budget {
            return Err(io::Error::other(over_budget()));
        }
        self.hash.update(&buffer[..got]);
        Ok(got)
    }
}

/// The sentence for anything that unpacks to more than it may.
pub fn over_budget() -> &'static str {
    "it unpacks to more bytes than one image may take"
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Of many pieces, and not of one byte.
    fn noise() -> Vec<u8> {
        (0..(PIECE as u32 * 20 + 7)).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn source(stored: &[u8]) -> Source {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(b"before")
            .and_then(|()| file.write_all(stored))
            .and_then(|()| file.write_all(b"behind"))
            .expect("stored");
        Source { file, offset: 6, length: stored.len() as u64 }
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain).expect("packed");
        gzip.finish().expect("packed")
    }

    #[test]
    fn a_stream_is_read_ahead_as_it_is_however_it_is_packed() {
        let plain = noise();
        let zstd = zstd::stream::encode_all(&plain[..], 1).expect("packed");
        // Several members of gzip are one stream.
        let members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        for stored in [&plain, &gzip(&plain), &members, &zstd] {
            let mut read = Vec::new();
            Ahead::start(source(stored)).expect("started").read_to_end(&mut read).expect("read");
            assert!(read == plain);
        }
    }

    #[test]
    fn what_is_wrong_in_the_middle_of_a_stream_is_told_after_what_came_before() {
        let packed = gzip(&noise());
        let mut damaged = packed.clone();
        damaged[packed.len() / 2..][..1000].fill(0xff);
        for stored in [&damaged[..], &packed[..packed.len() - 100]] {
            let mut read = Vec::new();
            let error = Ahead::start(source(stored)).expect("started").read_to_end(&mut read).expect_err("damaged");
            assert!(matches!(Trouble::reading(error), Trouble::Bad(_)));
            assert!(read.len() >= PIECE && noise().starts_with(&read));
        }
        assert!(matches!(Ahead::start(source(b"BZh9")), Err(Trouble::Bad(_))));
    }

    #[test]
    fn the_thread_ends_when_nobody_reads_any_more() {
        let stored = source(&noise());
        let held = stored.file.try_clone().expect("shared");
        let mut ahead = Ahead::start(stored).expect("started");
        ahead.read_exact(&mut [0; 10]).expect("read");
        let Ahead { pieces, spent, .. } = ahead;
        drop(pieces);
        // The thread holds the other end of this until it ends.
        while spent.send(Vec::new()).is_ok() {
            std::thread::yield_now();
        }
        let read = (&held).stream_position().expect("position");
        assert!(read < noise().len() as u64, "{read}");
    }
}
