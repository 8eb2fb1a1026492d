//! Reads tar archives, member by member, from any reader.
//!
//! The unpacking helper uses it. Only the header's fields are left to the `tar` crate: its own iteration keeps extended
//! headers of any length in memory and splits them at newlines, which breaks binary attributes such as file
//! capabilities. Here both are bounded and read by their declared length. Nothing here touches a file system.

mod pax;
mod sparse;

use std::io::{self, Read};

use pax::Extended;
use sparse::Extent;

const BLOCK: u64 = 512;
/// Names, attributes and the like of one member together. The kernel's own bound on one attribute is 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;
const MAX_EXTENSIONS_PER_MEMBER: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("read the archive")]
    Read(#[source] io::Error),
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

pub struct Reader<R> {
    input: R,
    position: u64,
    /// Stored bytes of the present member that were not read, and the padding behind them.
    unread: u64,
    padding: u64,
    extents: Vec<Extent>,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Self { input, position: 0, unread: 0, padding: 0, extents: Vec::new() }
    }

    /// Skips what is left of the present member and reads the next header. `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Member>, TarError> {
        self.skip(self.unread + self.padding)?;
        (self.unread, self.padding) = (0, 0);
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

    /// Hands the content of the present member to `sink`, as (offset, bytes) in order; holes are left out.
    pub fn content<E: From<TarError>>(&mut self, mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut buffer = [0; 64 * 1024];
        for extent in std::mem::take(&mut self.extents) {
            let mut done = 0;
            while done < extent.length {
                let want = buffer.len().min(usize::try_from(extent.length - done).unwrap_or(buffer.len()));
                let got = self.input.read(&mut buffer[..want]).map_err(TarError::Read)?;
                if got == 0 {
                    return Err(ends_early().into());
                }
                sink(extent.offset + done, &buffer[..got])?;
                done += got as u64;
                self.position += got as u64;
                self.unread -= got as u64;
            }
        }
        Ok(())
    }

    /// Reads what follows the end of the archive, so that a digest over the whole stream is right.
    pub fn drain(&mut self) -> Result<(), TarError> {
        io::copy(&mut self.input, &mut io::sink()).map(drop).map_err(TarError::Read)
    }

    pub fn into_inner(self) -> R {
        self.input
    }

    fn member(
        &mut self,
        header: &tar::Header,
        kind: tar::EntryType,
        mut extended: Extended,
    ) -> Result<Member, TarError> {
        let fields = header.as_old();
        let path = extended.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match kind {
            tar::EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
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
        // Only a file has content. Some writers state the size of the target for a hard link, without its bytes.
        let stored = match kind {
            Kind::File => extended.size.map_or_else(|| number("size", &fields.size, header.entry_size()), Ok)?,
            Kind::HardLink | Kind::Symlink | Kind::Directory | Kind::Fifo | Kind::Device => 0,
        };
        let contiguous = header.entry_type() != tar::EntryType::GNUSparse;
        let size = self.lay_out(header, stored, contiguous)?;
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

    /// Notes where the content lies. Returns the size of the file.
    fn lay_out(&mut self, header: &tar::Header, stored: u64, contiguous: bool) -> Result<u64, TarError> {
        self.unread = stored;
        self.padding = (BLOCK - stored % BLOCK) % BLOCK;
        stored.checked_add(BLOCK).ok_or_else(|| TarError::malformed("a size in the archive overflows"))?;
        if contiguous {
            self.extents = vec![Extent { offset: 0, length: stored }];
            return Ok(stored);
        }
        let (extents, size) = sparse::read(header, stored, || self.block())?;
        self.extents = extents;
        Ok(size)
    }

    fn header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let mut block = [0; BLOCK as usize];
        let got = self.fill(&mut block)?;
        if got == 0 || block.iter().all(|byte| *byte == 0) {
            return Ok(None);
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
        let skipped = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink()).map_err(TarError::Read)?;
        self.position += skipped;
        if skipped < bytes { Err(ends_early()) } else { Ok(()) }
    }

    /// Fills the buffer unless the input ends first.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut got = 0;
        while got < buffer.len() {
            match self.input.read(&mut buffer[got..]) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        self.position += got as u64;
        Ok(got)
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
mod tests {
    use super::*;

    fn members(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, TarError> {
        let mut reader = Reader::new(bytes);
        let mut members = Vec::new();
        while let Some(member) = reader.next()? {
            let mut content = Vec::new();
            reader.content::<TarError>(|offset, bytes| {
                content.resize(usize::try_from(offset).expect("small"), 0);
                content.extend_from_slice(bytes);
                Ok(())
            })?;
            members.push((member, content));
        }
        Ok(members)
    }

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().expect("archive")
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(7);
        builder.append_data(&mut header, path, content).expect("append");
    }

    #[test]
    fn members_are_read_with_their_content() {
        let long = "d/".repeat(120) + "file";
        let bytes = archive(|builder| {
            file(builder, "a", b"one");
            file(builder, &long, &[9; 1000]);
        });
        let members = members(&bytes).expect("members");
        assert_eq!(members[0].0.path, b"a");
        assert_eq!((members[0].0.size, members[0].0.mtime, members[0].0.offset), (3, (7, 0), 512));
        assert_eq!(members[0].1, b"one");
        assert_eq!(members[1].0.path, long.as_bytes());
        assert_eq!(members[1].1, [9; 1000]);
    }

    #[test]
    fn binary_attributes_survive_newlines() {
        let value = b"\x0a\n\x00=\x0a 7 size=9\n";
        let bytes = archive(|builder| {
            builder
                .append_pax_extensions([("SCHILY.xattr.security.capability", &value[..]), ("mtime", b"12.5")])
                .expect("pax");
            file(builder, "a", b"one");
        });
        let members = members(&bytes).expect("members");
        assert_eq!(members[0].0.xattrs, [(b"security.capability".to_vec(), value.to_vec())]);
        assert_eq!(members[0].0.mtime, (12, 500_000_000));
        assert_eq!(members[0].1, b"one");
    }

    #[test]
    fn what_is_not_a_tar_or_cut_short_is_told_apart() {
        let text = |bytes: &[u8]| members(bytes).expect_err("refused").to_string();
        assert_eq!(text(b"hello"), "this is not a tar archive");
        assert_eq!(text(&[7; 4096]), "this is not a tar archive");
        let bytes = archive(|builder| file(builder, "a", &[1; 5000]));
        assert_eq!(text(&bytes[..3000]), "the archive ends early; it was cut short");
        assert_eq!(text(&bytes[..5000 + 512]), "the archive ends early; it was cut short");
    }

    #[test]
    fn an_extended_header_has_a_bound() {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(1 << 40);
        header.set_cksum();
        let text = members(header.as_bytes()).expect_err("refused").to_string();
        assert!(text.contains("at most 1048576"), "{text}");
    }
}
