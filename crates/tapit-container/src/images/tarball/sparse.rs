//! Sparse files in the old GNU form: a map of extents in the header and in blocks behind it.

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
    let wrong = || TarError::malformed("the map of a sparse file is malformed");
    let gnu = header.as_gnu().ok_or_else(wrong)?;
    let mut extents = Vec::new();
    let mut take = |entry: &tar::GnuSparseHeader| {
        if !entry.is_empty() && extents.len() < MAX_EXTENTS {
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
    let mut end = 0;
    let mut sum = 0u64;
    for extent in &extents {
        if extent.offset < end {
            return Err(wrong());
        }
        end = extent.offset.checked_add(extent.length).ok_or_else(wrong)?;
        sum += extent.length;
    }
    if sum != stored || end > size {
        return Err(wrong());
    }
    Ok((extents, size))
}
