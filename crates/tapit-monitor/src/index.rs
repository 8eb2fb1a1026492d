//! The form of a log on disk, and the rules by which it grows.
//!
//! A log is a row of segments, `log.1`, `log.2` and so on: `log.N` holds output as it came, both streams in one file, and
//! `log.N.idx` says what is what. The index is a header and then records of 16 bytes; a record tells time and stream of
//! the bytes from its start up to the start of the next one, or to the end of the file. Starts are counted from the
//! instance's first byte on, over all segments.
//!
//! That the length is nowhere written is what makes the log exact when its writer is killed. The order is: record, then
//! bytes, and the kernel moves the bytes from the pipe to the file in one act. Killed before the record: the bytes are
//! in the pipe. Killed between: the record is followed by none. Killed after: they are in the file and belong to the
//! stream that the last record names. There is no moment in which bytes are in the file and their stream is not known, and
//! none in which they are in both places or in neither. For the same reason a reader looks at the length of the file
//! first and at the index after: whatever is within that length has its record.
//!
//! A segment is never renamed, so a kill in the middle of a rotation leaves nothing to repair: the header of a new segment
//! is written before its data file is made, and the segment of the highest number that has a data file is the current one.

/// Bytes of the header and of each record.
pub const RECORD: usize = 16;
/// A segment holds at least a few of the longest lines.
pub const MIN_SEGMENT: u64 = 64 * 1024;

const MAGIC: [u8; 4] = *b"tlog";
const VERSION: u8 = 1;

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// A line of the monitor's own.
    Remark,
}

impl Stream {
    /// The two that a container writes.
    pub const OUTPUTS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    fn code(self) -> u8 {
        match self {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Remark => 3,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Stream::Stdout, Stream::Stderr, Stream::Remark].into_iter().find(|stream| stream.code() == code)
    }

    /// Its place where something is kept per output.
    pub fn output(self) -> Option<usize> {
        match self {
            Stream::Stdout => Some(0),
            Stream::Stderr => Some(1),
            Stream::Remark => None,
        }
    }
}

/// What an index begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How many bytes the instance had written before this segment.
    pub base: u64,
    /// Whether an output's first bytes here are the rest of a line that began in an earlier segment.
    pub continues: [bool; 2],
}

impl Header {
    pub fn encode(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = u8::from(self.continues[0]) | u8::from(self.continues[1]) << 1;
        bytes[8..].copy_from_slice(&self.base.to_le_bytes());
        bytes
    }

    /// `None` for what is no header of this version.
    pub fn decode(bytes: &[u8; RECORD]) -> Option<Self> {
        let known = bytes[..4] == MAGIC && bytes[4] == VERSION;
        let continues = [bytes[5] & 1 != 0, bytes[5] & 2 != 0];
        known.then(|| Self { base: upper(bytes), continues })
    }
}

/// One record: bytes of one stream that came at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    pub stream: Stream,
    /// The first byte, counted from the instance's first.
    pub start: u64,
}

impl Chunk {
    pub fn encode(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        // Six bytes of milliseconds last for nine thousand years.
        bytes[..8].copy_from_slice(&(self.at_ms << 16).to_le_bytes());
        bytes[0] = self.stream.code();
        bytes[8..].copy_from_slice(&self.start.to_le_bytes());
        bytes
    }

    /// `None` for what is no record, as a host that lost power may leave it.
    pub fn decode(bytes: &[u8; RECORD]) -> Option<Self> {
        let mut lower = [0; 8];
        lower.copy_from_slice(&bytes[..8]);
        let stream = Stream::of_code(bytes[0])?;
        Some(Self { at_ms: u64::from_le_bytes(lower) >> 16, stream, start: upper(bytes) })
    }
}

fn upper(bytes: &[u8; RECORD]) -> u64 {
    let mut upper = [0; 8];
    upper.copy_from_slice(&bytes[8..]);
    u64::from_le_bytes(upper)
}

/// The segment that is being written, without its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    header: Header,
    /// Bytes of data and of index.
    data: u64,
    index: u64,
    last: Option<Chunk>,
    /// Per output, the end of its last bytes here, counted from the segment's first byte.
    ends: [Option<u64>; 2],
}

impl Segment {
    /// One whose index holds a header and nothing else so far; `data` is what its data file holds already.
    pub fn new(header: Header, data: u64) -> Self {
        Self { header, data, index: RECORD as u64, last: None, ends: [None; 2] }
    }

    /// Takes in a record that the index holds, or that was just written to it.
    pub fn take(&mut self, chunk: Chunk) {
        self.close(chunk.start.saturating_sub(self.header.base).min(self.data));
        self.last = Some(chunk);
        self.index += RECORD as u64;
    }

    /// Notes that the last record's bytes go up to here.
    fn close(&mut self, end: u64) {
        if let Some(last) = self.last
            && let Some(output) = last.stream.output()
            && end > last.start.saturating_sub(self.header.base)
        {
            self.ends[output] = Some(end);
        }
    }

    /// Where the next byte of data and the next record go.
    pub fn data_end(&self) -> u64 {
        self.data
    }

    pub fn index_end(&self) -> u64 {
        self.index
    }

    /// Notes that bytes have come to the last record.
    pub fn grow(&mut self, bytes: u64) {
        self.data = self.data.saturating_add(bytes);
    }

    /// How many bytes may still come, with a record before them, when data and index together may hold `max`.
    pub fn room(&self, max: u64) -> u64 {
        max.max(MIN_SEGMENT).saturating_sub(self.data + self.index + RECORD as u64)
    }

    /// The record that bytes of a stream need now; `None` when the last one covers them.
    pub fn record_for(&self, stream: Stream, at_ms: u64) -> Option<Chunk> {
        let covered = self.last.is_some_and(|last| last.stream == stream && last.at_ms == at_ms);
        (!covered).then_some(Chunk { at_ms, stream, start: self.header.base + self.data })
    }

    /// Per output, where the byte lies that says whether its last line is complete; `None` where none came here.
    pub fn last_bytes(&self) -> [Option<u64>; 2] {
        let mut all = *self;
        all.close(self.data);
        all.ends.map(|end| end.map(|end| end.saturating_sub(1)))
    }

    /// The header of the segment after this one. `last_bytes` are the bytes at the places of that name.
    pub fn next_header(&self, last_bytes: [Option<u8>; 2]) -> Header {
        let continues =
            [0, 1].map(|output| last_bytes[output].map_or(self.header.continues[output], |byte| byte != b'\n'));
        Header { base: self.header.base + self.data, continues }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_and_anything_else_is_refused() {
        for header in [Header { base: 0, continues: [false; 2] }, Header { base: u64::MAX, continues: [true, false] }] {
            assert_eq!(Header::decode(&header.encode()), Some(header));
        }
        for stream in [Stream::Stdout, Stream::Stderr, Stream::Remark] {
            let chunk = Chunk { at_ms: 1_800_000_000_123, stream, start: 1 << 40 };
            assert_eq!(Chunk::decode(&chunk.encode()), Some(chunk));
        }
        assert_eq!((Header::decode(&[0; RECORD]), Chunk::decode(&[0; RECORD])), (None, None));
    }

    #[test]
    fn bytes_of_the_same_stream_and_millisecond_need_one_record() {
        let mut segment = Segment::new(Header { base: 1000, continues: [false; 2] }, 0);
        let first = segment.record_for(Stream::Stdout, 5).expect("needs one");
        assert_eq!(first.start, 1000);
        segment.take(first);
        segment.grow(10);
        assert_eq!(segment.record_for(Stream::Stdout, 5), None);
        assert_eq!(segment.record_for(Stream::Stdout, 6).map(|chunk| chunk.start), Some(1010));
        assert_eq!(segment.record_for(Stream::Stderr, 5).map(|chunk| chunk.start), Some(1010));
    }

    #[test]
    fn the_next_segment_knows_which_lines_are_broken_off() {
        let mut segment = Segment::new(Header { base: 0, continues: [false, true] }, 0);
        assert_eq!(segment.last_bytes(), [None, None]);
        for (stream, bytes) in [(Stream::Stdout, 3), (Stream::Remark, 4), (Stream::Stderr, 0), (Stream::Remark, 1)] {
            let chunk = segment.record_for(stream, 1).expect("needs one");
            segment.take(chunk);
            segment.grow(bytes);
        }
        assert_eq!(segment.last_bytes(), [Some(2), None]);
        assert_eq!(segment.next_header([Some(b'x'), None]), Header { base: 8, continues: [true, true] });
        assert_eq!(segment.next_header([Some(b'\n'), Some(b'\n')]), Header { base: 8, continues: [false, false] });
    }

    #[test]
    fn data_and_index_share_what_a_segment_may_hold() {
        let mut segment = Segment::new(Header { base: 0, continues: [false; 2] }, 0);
        let max = 2 * MIN_SEGMENT;
        assert_eq!(segment.room(max), max - 2 * RECORD as u64);
        assert_eq!(segment.room(1), MIN_SEGMENT - 2 * RECORD as u64);
        segment.grow(max);
        assert_eq!(segment.room(max), 0);
    }
}
