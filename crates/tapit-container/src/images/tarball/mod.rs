//! Reads tar archives, member by member, from any reader.
//!
//! The unpacking helper uses it. Only the header's fields are left to the `tar` crate: its own iteration keeps extended
//! headers of any length in memory and splits them at newlines, which breaks binary attributes such as file
//! capabilities. Here both are bounded and read by their declared length. Nothing here touches a file system.
//!
//! All that is not content of a file can be written down as it comes along (`Reader::recording`), so that a layer can be
//! put together again byte for byte (`images::split`).

mod pax;
mod sparse;

use std::io::{self, Read, Write};

use pax::Extended;
pub use sparse::Extent;

const BLOCK: u64 = 512;
/// Names, attributes and the like of one member together. The kernel's own bound on one attribute is 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;
const MAX_EXTENSIONS_PER_MEMBER: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("read the archive")]
    Read(#[source] io::Error),
    #[error("write down what an archive holds besides content")]
    Record(#[source] io::Error),
    #[error("{0}")]
    Malformed(String),
}

impl TarError {
    fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    /// A character or block device.
    Device,
}

/// One member, as the archive states it: nothing is checked against a file system yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub kind: Kind,
    pub path: Vec<u8>,
    /// The target of a link.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Bytes of the file once unpacked, holes included.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content starts in the archive, and whether it lies there as it is, without holes.
    pub offset: u64,
    pub contiguous: bool,
}

pub struct Reader<R, W = io::Sink> {
    input: R,
    /// Takes every byte but those that `content` hands out.
    raw: W,
    position: u64,
    /// Stored bytes of the present member that were not read, and the padding behind them.
    unread: u64,
    padding: u64,
    extents: Vec<Extent>,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Self::recording(input, io::sink())
    }
}

impl<R: Read, W: Write> Reader<R, W> {
    pub fn recording(input: R, raw: W) -> Self {
        Self { input, raw, position: 0, unread: 0, padding: 0, extents: Vec::new() }
    }

    pub fn raw(&mut self) -> &mut W {
        &mut self.raw
    }

    /// Skips what is left of the present member and reads the next header. `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Member>, TarError> {
        self.skip(self.unread)?;
        let (padding, mut block) = (usize::try_from(self.padding).unwrap_or(0), [0; BLOCK as usize]);
        (self.unread, self.padding) = (0, 0);
        // Some writers, umoci among them, leave out the padding of the last member together with the end of the archive.
        if self.fill(&mut block[..padding])? < padding {
            return Ok(None);
        }
        let mut extended = Extended::default();
        for _ in 0..=MAX_EXTENSIONS_PER_MEMBER {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let stored = number("size", &header.as_old().size, header.entry_size())?;
            match header.entry_type() {
                tar::EntryType::XHeader => extended.read_pax(&self.extension(stored)?)?,
                tar::EntryType::GNULongName => extended.path = Some(terminated(self.extension(stored)?)),
                tar::EntryType::GNULongLink => extended.link = Some(terminated(self.extension(stored)?)),
                tar::EntryType::XGlobalHeader => drop(self.extension(stored)?),
                kind => return self.member(&header, kind, extended).map(Some),
            }
        }
        Err(TarError::malformed(format!("a member has more than {MAX_EXTENSIONS_PER_MEMBER} extended headers")))
    }

    /// Where the stored bytes of the present member belong, before they are handed out.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Hands the content of the present member to `sink`, as (offset, bytes) in order; holes are left out.
    pub fn content<E: From<TarError>>(&mut self, mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut buffer = [0; 64 * 1024];
        for extent in std::mem::take(&mut self.extents) {
            let mut done = 0;
            while done < extent.length {
                let want = buffer.len().min(usize::try_from(extent.length - done).unwrap_or(buffer.len()));
                let got = self.read(&mut buffer[..want])?;
                if got == 0 {
                    return Err(ends_early().into());
                }
                sink(extent.offset + done, &buffer[..got])?;
                done += got as u64;
                self.unread -= got as u64;
            }
        }
        Ok(())
    }

    /// Reads what follows the end of the archive, so that a digest over the whole stream is right.
    pub fn drain(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(()),
                got => self.raw.write_all(&buffer[..got]).map_err(TarError::Record)?,
            }
        }
    }

    pub fn into_parts(self) -> (R, W) {
        (self.input, self.raw)
    }

    fn member(
        &mut self,
        header: &tar::Header,
        kind: tar::EntryType,
        mut extended: Extended,
    ) -> Result<Member, TarError> {
        let fields = header.as_old();
        let old = fields.linkflag[0] == 0;
        let path = extended.sparse.name.take().or(extended.path.take());
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match kind {
            // So a directory was told before there was a type for it.
            tar::EntryType::Regular if old && path.ends_with(b"/") => Kind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => Kind::File,
            tar::EntryType::Link => Kind::HardLink,
            tar::EntryType::Symlink => Kind::Symlink,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Fifo => Kind::Fifo,
            tar::EntryType::Char | tar::EntryType::Block => Kind::Device,
            other => {
                let name = String::from_utf8_lossy(&path).into_owned();
                return Err(TarError::malformed(format!(
                    "{name:?} is of the unknown type {:?}",
                    other.as_byte() as char
                )));
            }
        };
        let stated = || extended.size.map_or_else(|| number("size", &fields.size, header.entry_size()), Ok);
        // Only a file has content. Some writers state the size of the target for a hard link, without its bytes.
        let stored = match kind {
            Kind::File => stated()?,
            Kind::Directory if old => stated()?,
            Kind::HardLink | Kind::Symlink | Kind::Directory | Kind::Fifo | Kind::Device => 0,
        };
        self.unread = stored;
        self.padding = (BLOCK - stored % BLOCK) % BLOCK;
        stored.checked_add(BLOCK).ok_or_else(|| TarError::malformed("a size in the archive overflows"))?;
        let (size, contiguous) = match kind {
            Kind::File => self.lay_out(header, stored, &extended.sparse)?,
            Kind::HardLink | Kind::Symlink | Kind::Directory | Kind::Fifo | Kind::Device => (0, true),
        };
        let mtime = match extended.mtime {
            Some(mtime) => mtime,
            None => (number("time", &fields.mtime, header.mtime())?.try_into().unwrap_or(0), 0),
        };
        let link = match extended.link {
            Some(link) => link,
            None => header.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default(),
        };
        Ok(Member {
            kind,
            path,
            link,
            mode: number("mode", &fields.mode, header.mode())?,
            uid: extended.uid.map_or_else(|| number("user id", &fields.uid, header.uid()), Ok)?,
            gid: extended.gid.map_or_else(|| number("group id", &fields.gid, header.gid()), Ok)?,
            mtime,
            size,
            xattrs: extended.xattrs,
            offset: self.position,
            contiguous,
        })
    }

    /// Notes where the content lies. Returns the size of the file, and whether it is stored without holes.
    fn lay_out(&mut self, header: &tar::Header, stored: u64, pax: &pax::Sparse) -> Result<(u64, bool), TarError> {
        if header.entry_type() == tar::EntryType::GNUSparse {
            let (extents, size) = sparse::read(header, stored, || self.block())?;
            self.extents = extents;
            return Ok((size, false));
        }
        let (extents, size) = match pax.form()? {
            pax::Form::Whole => {
                self.extents = vec![Extent { offset: 0, length: stored }];
                return Ok((stored, true));
            }
            pax::Form::Mapped { map, size } => (sparse::pairs(map)?, size),
            pax::Form::MapInContent { size } => (self.map_in_content()?, size),
        };
        sparse::check(&extents, self.unread, size)?;
        self.extents = extents;
        Ok((size, false))
    }

    /// Reads the map that the stored bytes of a member begin with: decimal numbers, a line each, in whole blocks.
    fn map_in_content(&mut self) -> Result<Vec<Extent>, TarError> {
        let mut map = sparse::MapLines::default();
        while !map.is_complete() {
            self.unread = self.unread.checked_sub(BLOCK).ok_or_else(sparse::wrong)?;
            let block = self.block()?;
            map.take(&block)?;
        }
        map.extents()
    }

    fn header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let mut block = [0; BLOCK as usize];
        let got = self.fill(&mut block)?;
        if got == 0 {
            return Ok(None);
        }
        if block.iter().all(|byte| *byte == 0) {
            // Others go on behind one empty block: what is there must not be lost without a word.
            let mut second = [0; BLOCK as usize];
            self.fill(&mut second)?;
            return if second.iter().all(|byte| *byte == 0) {
                Ok(None)
            } else {
                Err(TarError::malformed("the archive goes on behind its end"))
            };
        }
        if got < block.len() {
            return Err(if self.position <= BLOCK { not_tar() } else { ends_early() });
        }
        let header = tar::Header::from_byte_slice(&block).clone();
        let summed: u32 = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum();
        // The checksum's own field counts as eight spaces.
        if header.cksum().ok() != Some(summed + 8 * 32) {
            return Err(if self.position <= BLOCK {
                not_tar()
            } else {
                TarError::malformed("a header in the archive has a wrong checksum")
            });
        }
        Ok(Some(header))
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize], TarError> {
        let mut block = [0; BLOCK as usize];
        if self.fill(&mut block)? < block.len() {
            return Err(ends_early());
        }
        Ok(block)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::malformed(format!(
                "an extended header has {size} bytes; at most {MAX_EXTENSION} are allowed"
            )));
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or(0)];
        if self.fill(&mut data)? < data.len() {
            return Err(ends_early());
        }
        self.skip((BLOCK - size % BLOCK) % BLOCK)?;
        Ok(data)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TarError> {
        let mut piece = [0; 4096];
        let mut left = bytes;
        while left > 0 {
            let want = piece.len().min(usize::try_from(left).unwrap_or(piece.len()));
            let got = self.fill(&mut piece[..want])?;
            if got < want {
                return Err(ends_early());
            }
            left -= got as u64;
        }
        Ok(())
    }

    /// Fills the buffer unless the input ends first, and writes down what it was filled with.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut got = 0;
        while got < buffer.len() {
            match self.read(&mut buffer[got..])? {
                0 => break,
                more => got += more,
            }
        }
        self.raw.write_all(&buffer[..got]).map_err(TarError::Record)?;
        Ok(got)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(got) => {
                    self.position += got as u64;
                    return Ok(got);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
    }
}

/// A field that nothing was written to counts as zero.
fn number<T: Default>(what: &str, field: &[u8], parsed: io::Result<T>) -> Result<T, TarError> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    parsed.map_err(|_| TarError::malformed(format!("a {what} in the archive is not a number")))
}

fn terminated(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&0) {
        text.pop();
    }
    text
}

fn ends_early() -> TarError {
    TarError::malformed("the archive ends early; it was cut short")
}

fn not_tar() -> TarError {
    TarError::malformed("this is not a tar archive")
}

#[cfg(test)]
mod tests;
