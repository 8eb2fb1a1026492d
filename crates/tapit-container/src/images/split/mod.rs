//! What a layer's tar holds besides the content of files, so that the layer can be written again byte for byte.
//!
//! A registry knows a layer by the digest of its tar, and two programs that pack one tree do not write the same tar:
//! order, padding, kinds of headers and times differ. So the unpacking helper writes down all that does not end up as a
//! file's content (`Recorder`), and who sends a layer on puts both together again (`assemble`). Most of it is headers,
//! which compress to some thirtieth.
//!
//! ```text
//! file   = "tapsplt1" block*
//! block  = kind u8, stored u32, plain u32, zstd of at most 1 MiB
//!          kind 1: a piece of the story    2: the path of a file that was replaced    3: a piece of what it held
//! story  = 1, length u32, bytes            as they are in the tar
//!        | 2, length u16, path             the parts that follow are of this file
//!        | 3, offset u64, length u64       a stretch of the file
//! ```
//!
//! A later member may replace an earlier one of the same layer, which then lies nowhere any more; so what it held is kept
//! here (`Attic`). Of several such files of one path, the first is the one that the story speaks of first. Numbers are
//! little-endian.

mod read;
mod write;

#[cfg(test)]
use read::SplitError;
pub use read::assemble;
pub use write::{Attic, Recorder};

const MAGIC: &[u8; 8] = b"tapsplt1";
/// Plain bytes of a block: what reading holds in memory, however large the layer is.
const BLOCK: usize = 1 << 20;
const HEADER: usize = 9;

const STORY: u8 = 1;
const REPLACED: u8 = 2;
const HELD: u8 = 3;

const RAW: u8 = 1;
const FILE: u8 = 2;
const PART: u8 = 3;

#[cfg(test)]
mod tests;
