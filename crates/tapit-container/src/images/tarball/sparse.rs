//! The maps of sparse files: which stretches are stored. The old GNU form has them in the header and in blocks behind it,
//! the PAX forms in the extended header or at the start of the content.

use super::TarError;

/// A stretch of the file that is stored; what lies between is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

/// More than any real file: each takes memory.
const MAX_EXTENTS: usize = 100_000;

/// Reads the map, with further blocks from `next_block`. Returns the extents and the size of the whole file.
pub fn read(
    header: &tar::Header,
    stored: u64,
    mut next_block: impl FnMut() -> Result<[u8; 512], TarError>,
) -> Result<(Vec<Extent>, u64), TarError> {
    let gnu = header.as_gnu().ok_or_else(wrong)?;
    let mut extents = Vec::new();
    let mut take = |entry: &tar::GnuSparseHeader| {
        if !entry.is_empty() {
            if extents.len() >= MAX_EXTENTS {
                return Err(wrong());
            }
            let offset = entry.offset().map_err(|_| wrong())?;
            let length = entry.length().map_err(|_| wrong())?;
            extents.push(Extent { offset, length });
        }
        Ok::<_, TarError>(())
    };
    gnu.sparse.iter().try_for_each(&mut take)?;
    let mut more = gnu.is_extended();
    while more {
        let mut block = tar::GnuExtSparseHeader::new();
        block.as_mut_bytes().copy_from_slice(&next_block()?);
        block.sparse.iter().try_for_each(&mut take)?;
        more = block.is_extended();
    }
    let size = gnu.real_size().map_err(|_| wrong())?;
    check(&extents, stored, size)?;
    Ok((extents, size))
}

pub fn wrong() -> TarError {
    TarError::malformed("the map of a sparse file is malformed")
}

/// Extents must follow one another within the file, and need what is stored, no more and no less.
pub fn check(extents: &[Extent], stored: u64, size: u64) -> Result<(), TarError> {
    let mut end = 0;
    let mut sum = 0u64;
    for extent in extents {
        if extent.offset < end {
            return Err(wrong());
        }
        end = extent.offset.checked_add(extent.length).ok_or_else(wrong)?;
        sum += extent.length;
    }
    if sum != stored || end > size { Err(wrong()) } else { Ok(()) }
}

/// Extents from offsets and lengths by turns.
pub fn pairs(numbers: &[u64]) -> Result<Vec<Extent>, TarError> {
    if numbers.len() % 2 == 1 || numbers.len() / 2 > MAX_EXTENTS {
        return Err(wrong());
    }
    Ok(numbers.chunks_exact(2).map(|pair| Extent { offset: pair[0], length: pair[1] }).collect())
}

/// The map of form 1.0, taken block by block: how many extents, then offset and length of each, a number on a line.
#[derive(Default)]
pub struct MapLines {
    numbers: Vec<u64>,
    /// A number that goes on in the next block.
    started: Option<u64>,
}

impl MapLines {
    pub fn is_complete(&self) -> bool {
        let wanted = |count: &u64| usize::try_from(*count).ok()?.checked_mul(2)?.checked_add(1);
        self.numbers.first().and_then(wanted).is_some_and(|wanted| self.numbers.len() >= wanted)
    }

    pub fn take(&mut self, block: &[u8]) -> Result<(), TarError> {
        for byte in block {
            if self.is_complete() {
                // The rest of the last block is padding.
                break;
            }
            match byte {
                b'0'..=b'9' => {
                    let number = self.started.unwrap_or(0).checked_mul(10).ok_or_else(wrong)?;
                    self.started = Some(number.checked_add(u64::from(byte - b'0')).ok_or_else(wrong)?);
                }
                b'\n' => self.numbers.push(self.started.take().ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            if self.numbers.first().is_some_and(|count| *count > MAX_EXTENTS as u64) {
                return Err(wrong());
            }
        }
        Ok(())
    }

    pub fn extents(self) -> Result<Vec<Extent>, TarError> {
        pairs(&self.numbers[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_lines_may_cross_blocks_and_must_be_of_numbers() {
        let read = |blocks: &[&[u8]]| {
            let mut map = MapLines::default();
            blocks.iter().try_for_each(|block| map.take(block))?;
            if map.is_complete() { map.extents() } else { Err(TarError::malformed("incomplete")) }
        };
        let two = [Extent { offset: 10, length: 512 }, Extent { offset: 4096, length: 0 }];
        assert_eq!(read(&[b"2\n10\n5", b"12\n4096\n0\n\0\0\0"]).expect("a map"), two);
        assert_eq!(read(&[b"0\n\0\0"]).expect("a map"), []);
        for wrong in [&b"1\n10\n"[..], b"x\n", b"\n", b"1 2", b"99999999999999999999\n", b"1000000\n", b"1\n-1\n2\n"] {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
