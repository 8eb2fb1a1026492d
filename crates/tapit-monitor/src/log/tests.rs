use std::io::Write;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use super::*;

struct Bench {
    dir: tempfile::TempDir,
    fd: Fd,
    pipe: Fd,
    writer: std::fs::File,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = std::ffi::CString::new(dir.path().as_os_str().as_bytes()).expect("is a path");
        nix::unistd::mkfifo(&dir.path().join("out"), nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a fifo");
        let fd = Fd::open(&path).expect("opens");
        let pipe = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(dir.path().join("out"))
            .expect("opens");
        let pipe = Fd::inherited(pipe.into_raw_fd() as u64).expect("is a descriptor");
        let writer = std::fs::OpenOptions::new().write(true).open(dir.path().join("out")).expect("opens");
        Self { dir, fd, pipe, writer }
    }

    fn log(&self, segment_bytes: u64, segments: u64, number: u64) -> Log<'_> {
        Log::new(&self.fd, Bounds { segment_bytes, segments }, number)
    }

    fn write(&self, bytes: &[u8]) {
        (&self.writer).write_all(bytes).expect("writes");
    }

    fn data(&self, number: u64) -> Option<Vec<u8>> {
        std::fs::read(self.dir.path().join(format!("log.{number}"))).ok()
    }

    fn index(&self, number: u64) -> (Header, Vec<Chunk>) {
        let bytes = std::fs::read(self.dir.path().join(format!("log.{number}.idx"))).expect("reads");
        let (records, rest) = bytes.as_chunks::<RECORD>();
        assert!(rest.is_empty());
        let chunks = records[1..].iter().map(|record| Chunk::decode(record).expect("is a record")).collect();
        (Header::decode(&records[0]).expect("is a header"), chunks)
    }
}

#[test]
fn both_streams_share_a_file_and_the_index_tells_them_apart() {
    let bench = Bench::new();
    let mut log = bench.log(1 << 20, 3, 1);
    for (stream, text) in [(Stream::Stdout, "one\n"), (Stream::Stderr, "two\n"), (Stream::Stdout, "three\n")] {
        bench.write(text.as_bytes());
        assert_eq!(log.take(stream, &bench.pipe), text.len());
    }
    assert_eq!(log.take(Stream::Stdout, &bench.pipe), 0, "an empty pipe gives nothing and does not block");
    assert_eq!(bench.data(1).as_deref(), Some(&b"one\ntwo\nthree\n"[..]));
    let (header, chunks) = bench.index(1);
    assert_eq!(header.base, 0);
    let found: Vec<_> = chunks.iter().take(3).map(|chunk| (chunk.stream, chunk.start)).collect();
    assert_eq!(found, [(Stream::Stdout, 0), (Stream::Stderr, 4), (Stream::Stdout, 8)]);
}

#[test]
fn a_later_writer_goes_on_where_the_one_before_was_killed() {
    let bench = Bench::new();
    bench.write(b"first");
    // Dropped without a word, after its bytes.
    bench.log(1 << 20, 3, 1).take(Stream::Stdout, &bench.pipe);
    // Killed between record and bytes.
    bench.log(1 << 20, 3, 1).prepare(Stream::Stderr).expect("prepares");
    let mut log = bench.log(1 << 20, 3, 1);
    bench.write(b"second");
    assert_eq!(log.take(Stream::Stdout, &bench.pipe), 6);
    assert_eq!(bench.data(1).as_deref(), Some(&b"firstsecond"[..]));
    let (_, chunks) = bench.index(1);
    let found: Vec<_> = chunks.iter().map(|chunk| (chunk.stream, chunk.start)).collect();
    assert_eq!(found, [(Stream::Stdout, 0), (Stream::Stderr, 5), (Stream::Stdout, 5)]);
}

#[test]
fn segments_are_bounded_and_only_so_many_are_kept() {
    let bench = Bench::new();
    let mut log = bench.log(1, 3, 1);
    let block = [b'x'; 60_000];
    for _ in 0..10 {
        bench.write(&block);
        let mut taken = 0;
        while taken < block.len() {
            taken += log.take(Stream::Stdout, &bench.pipe);
        }
    }
    let newest = log.number;
    assert_eq!(newest, 10);
    for number in newest - 2..=newest {
        let (header, chunks) = bench.index(number);
        let data = bench.data(number).expect("is kept");
        assert!(data.len() + RECORD * (1 + chunks.len()) <= crate::index::MIN_SEGMENT as usize);
        assert!(header.continues[0] && !header.continues[1]);
    }
    assert_eq!(std::fs::read_dir(bench.dir.path()).expect("lists").count(), 2 * 3 + 1);
    let (last, _) = bench.index(newest);
    assert_eq!(last.base + bench.data(newest).expect("is kept").len() as u64, 600_000);
}

#[test]
fn a_rotation_that_was_cut_short_is_carried_on() {
    let bench = Bench::new();
    bench.write(b"kept\n");
    bench.log(1, 1, 1).take(Stream::Stdout, &bench.pipe);
    // An index without data: the writer was killed in the middle of beginning this segment.
    std::fs::write(bench.dir.path().join("log.2.idx"), b"torn").expect("writes");
    let mut log = bench.log(1, 1, 1);
    log.prepare(Stream::Stdout).expect("prepares");
    log.rotate().expect("rotates");
    assert_eq!(bench.index(2).0, Header { base: 5, continues: [false; 2] });
    assert_eq!(bench.data(1), None);
    // One too many: the writer was killed right before it removed the oldest.
    std::fs::write(bench.dir.path().join("log.1"), b"old").expect("writes");
    drop(bench.log(1, 1, 2));
    assert_eq!(bench.data(1), None);
}

#[test]
fn what_the_disk_does_not_take_is_counted_and_told() {
    let bench = Bench::new();
    // A directory in the file's place stands for a disk that takes nothing.
    std::fs::create_dir(bench.dir.path().join("log.1.idx")).expect("a directory");
    let mut log = bench.log(1 << 20, 3, 1);
    bench.write(b"gone\n");
    assert_eq!(log.take(Stream::Stdout, &bench.pipe), 5);
    std::fs::remove_dir(bench.dir.path().join("log.1.idx")).expect("removes");
    bench.write(b"kept\n");
    assert_eq!(log.take(Stream::Stdout, &bench.pipe), 5);
    let text = bench.data(1).expect("is there");
    assert_eq!(text, b"5 bytes of output were lost: the disk would not take them\nkept\n");
    let (_, chunks) = bench.index(1);
    assert_eq!(chunks.iter().map(|chunk| chunk.stream).collect::<Vec<_>>(), [Stream::Remark, Stream::Stdout]);
}
