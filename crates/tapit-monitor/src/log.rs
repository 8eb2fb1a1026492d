//! Moves a container's output from its fifos to its log, within bounds.
//!
//! The bytes never come through this process's memory: the kernel takes them from the pipe and puts them into the file in
//! one call. Why that, with the order in which records are written, keeps the log exact when this process is killed at any
//! moment, is said in `index`. What a full disk cannot take is dropped and counted, so that the container never blocks on
//! its output; once writing works again, a line says how much is missing.

use crate::index::{Chunk, Header, RECORD, Segment, Stream};
use crate::sys::{self, Clock, Errno, Fd};
use crate::text::Text;

/// The most that is moved at once; a pipe seldom holds more.
const BLOCK: usize = 1024 * 1024;
/// What is dropped, or copied where the kernel cannot move, at once.
const COPIED: usize = 4096;
const INDEX_BLOCK: usize = 64 * RECORD;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub segment_bytes: u64,
    pub segments: u64,
}

type Name = Text<32>;

fn data_name(number: u64) -> Name {
    let mut name = Name::new();
    name.push(b"log.").push_number(number);
    name
}

fn index_name(number: u64) -> Name {
    let mut name = data_name(number);
    name.push(b".idx");
    name
}

struct Files {
    data: Fd,
    index: Fd,
    segment: Segment,
}

pub struct Log<'a> {
    dir: &'a Fd,
    bounds: Bounds,
    /// The current segment.
    number: u64,
    /// `None` when the disk has not let it be opened; it is tried again with each output.
    files: Option<Files>,
    lost: u64,
}

impl<'a> Log<'a> {
    /// Goes on with a log whose newest segment has this number; the first one is 1 and need not be there.
    pub fn new(dir: &'a Fd, bounds: Bounds, number: u64) -> Self {
        let bounds = Bounds { segments: bounds.segments.max(1), ..bounds };
        let log = Self { dir, bounds, number, files: None, lost: 0 };
        // A monitor may have been killed between making this segment and dropping the oldest.
        log.drop_oldest(number);
        log
    }

    /// Moves what one call moves of an output that has something to read. Answers how many bytes left the pipe.
    pub fn take(&mut self, stream: Stream, pipe: &Fd) -> usize {
        self.remark();
        match self.store(stream, pipe) {
            Ok(bytes) => bytes,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(Errno(_)) => self.discard(pipe),
        }
    }

    /// Says how much was lost, if that can be written now.
    fn remark(&mut self) {
        if self.lost == 0 {
            return;
        }
        let mut text = Text::<96>::new();
        text.push_number(self.lost).push(b" bytes of output were lost: the disk would not take them\n");
        let written = self.prepare(Stream::Remark).and_then(|_| self.append(text.bytes()));
        if written == Ok(text.bytes().len()) {
            self.lost = 0;
        }
    }

    fn store(&mut self, stream: Stream, pipe: &Fd) -> Result<usize, Errno> {
        let room = self.prepare(stream)?;
        let Some(files) = &mut self.files else { return Err(Errno::NOENT) };
        match pipe.splice_to(&files.data, files.segment.data_end(), room.min(BLOCK)) {
            Ok(bytes) => {
                files.segment.grow(bytes as u64);
                Ok(bytes)
            }
            // A file system that cannot do it. Bytes in our memory are lost if we are killed now, which cannot be helped.
            Err(Errno::INVAL) => {
                let mut block = [0; COPIED];
                let read = pipe.read(&mut block[..room.min(COPIED)])?;
                let written = self.append(&block[..read]).unwrap_or(0);
                self.lost = self.lost.saturating_add((read - written) as u64);
                Ok(read)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Sees to it that there is a segment with room and that its last record is for these bytes. Answers the room.
    fn prepare(&mut self, stream: Stream) -> Result<usize, Errno> {
        if self.files.is_none() {
            self.files = Some(self.open(self.number)?);
        }
        let full = |files: &Files| files.segment.room(self.bounds.segment_bytes) == 0;
        if self.files.as_ref().is_some_and(full) {
            self.rotate()?;
        }
        let Some(files) = &mut self.files else { return Err(Errno::NOENT) };
        if let Some(chunk) = files.segment.record_for(stream, sys::now_ms(Clock::Real)) {
            // A torn record is written over by the next attempt. It means a full disk, not that there is nothing to read yet.
            if files.index.write_at(&chunk.encode(), files.segment.index_end())? != RECORD {
                return Err(Errno::NOSPC);
            }
            files.segment.take(chunk);
        }
        Ok(usize::try_from(files.segment.room(self.bounds.segment_bytes)).unwrap_or(BLOCK).max(1))
    }

    /// Writes bytes behind the last record, as far as they go.
    fn append(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(files) = &mut self.files else { return Err(Errno::NOENT) };
        let written = files.data.write_at(bytes, files.segment.data_end())?;
        files.segment.grow(written as u64);
        Ok(written)
    }

    /// Takes bytes out of the pipe and forgets them.
    fn discard(&mut self, pipe: &Fd) -> usize {
        let mut block = [0; COPIED];
        let bytes = pipe.read(&mut block).unwrap_or(0);
        self.lost = self.lost.saturating_add(bytes as u64);
        bytes
    }

    fn open(&self, number: u64) -> Result<Files, Errno> {
        let (data, index) = (data_name(number), index_name(number));
        let index = self.dir.file_in(index.c_str().ok_or(Errno::INVAL)?)?;
        let mut first = [0; RECORD];
        let header = match index.read_at(&mut first, 0)? {
            RECORD => Header::decode(&first),
            _ => None,
        };
        let header = match header {
            Some(header) => header,
            None => {
                // It has just been made, or it was torn as it was made: then there is no data yet either.
                let header = Header { base: 0, continues: [false; 2] };
                write_header(&index, header)?;
                header
            }
        };
        let data = self.dir.file_in(data.c_str().ok_or(Errno::INVAL)?)?;
        let mut segment = Segment::new(header, data.end()?);
        read_records(&index, &mut segment)?;
        Ok(Files { data, index, segment })
    }

    /// Begins the next segment. Dropping the oldest comes first, so that a full disk makes room for itself.
    fn rotate(&mut self) -> Result<(), Errno> {
        let Some(files) = &self.files else { return Err(Errno::NOENT) };
        let last_bytes = files.segment.last_bytes().map(|place| {
            let mut byte = [0];
            place.filter(|place| files.data.read_at(&mut byte, *place) == Ok(1)).map(|_| byte[0])
        });
        let header = files.segment.next_header(last_bytes);
        let next = self.number + 1;
        if self.bounds.segments > 1 {
            self.drop_oldest(next);
        }
        let index = self.dir.fresh_in(index_name(next).c_str().ok_or(Errno::INVAL)?)?;
        write_header(&index, header)?;
        self.files = Some(self.open(next)?);
        self.number = next;
        if self.bounds.segments == 1 {
            self.drop_oldest(next);
        }
        Ok(())
    }

    /// Removes the segment that is one too many when this is the newest. There may be none.
    fn drop_oldest(&self, newest: u64) {
        let Some(oldest) = newest.checked_sub(self.bounds.segments).filter(|oldest| *oldest > 0) else { return };
        for name in [data_name(oldest), index_name(oldest)] {
            if let Some(name) = name.c_str() {
                let _ = self.dir.unlink_in(name);
            }
        }
    }
}

fn write_header(index: &Fd, header: Header) -> Result<(), Errno> {
    match index.write_at(&header.encode(), 0)? {
        RECORD => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

/// What an earlier monitor has written, up to its end or to what is no record.
fn read_records(index: &Fd, segment: &mut Segment) -> Result<(), Errno> {
    let mut block = [0; INDEX_BLOCK];
    loop {
        let read = index.read_at(&mut block, segment.index_end())?;
        let (records, _) = block[..read].as_chunks::<RECORD>();
        for record in records {
            match Chunk::decode(record) {
                Some(chunk) => segment.take(chunk),
                None => return Ok(()),
            }
        }
        if records.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
