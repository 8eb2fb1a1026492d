//! Tries decompression, the list of an archive and the unpacking of a layer with any bytes. See `crate::fuzzing`.
//!
//! A layer is unpacked by a thread that has its own root, a small file system in memory, as the helper has the layer's
//! directory: the same code, without a process for each try.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::unistd::{chdir, chroot, dup2, pipe};

use super::below::Below;
use super::index;
use super::layer::Layer;
use super::source::{Ahead, Metered, Source, decompress, digest_of};
use super::tree::Tree;
use super::trouble::Trouble;
use crate::images::blobs::Packing;
use crate::images::fuzzing::mended;
use crate::images::helper::{Budget, Indexed, Span, Unpacked};
use crate::images::split::{self, Recorder};
use crate::images::tarball::Reader;
use crate::linux::beneath;

const BUDGET: Budget = Budget { bytes: 1 << 20, entries: 128 };
/// What a try may do to memory, far more than the budget.
const ROOM: &str = "size=16m,nr_inodes=4096,mode=755";

/// Proof that the process' standard input is as a helper's: open, with nothing to read, which means that somebody waits.
#[derive(Clone, Copy)]
pub struct Stand(());

impl Stand {
    pub fn prepare() -> Self {
        static OPEN: OnceLock<OwnedFd> = OnceLock::new();
        OPEN.get_or_init(|| {
            let (reader, writer) = pipe().unwrap_or_else(|error| panic!("no pipe: {error}"));
            dup2(reader.as_raw_fd(), 0).unwrap_or_else(|error| panic!("standard input stays as it is: {error}"));
            writer
        });
        Self(())
    }
}

/// Any stream, packed or not: what is handed out is within the budget and the same each time.
pub fn compressed(bytes: &[u8]) {
    let plain = |budget: u64| -> Result<Vec<u8>, Trouble> {
        let (packing, plain) = decompress(bytes)?;
        let mut all = Vec::new();
        let read = Metered::new(plain, budget).read_to_end(&mut all);
        assert!(all.len() as u64 <= budget, "{} bytes of {budget}", all.len());
        read.map_err(Trouble::reading)?;
        assert!(packing != Packing::Plain || all == bytes, "what is not packed comes out changed");
        Ok(all)
    };
    let first = plain(BUDGET.bytes);
    assert_eq!(ahead(bytes).ok(), first.as_ref().ok().cloned(), "a thread of its own makes a difference");
    match first {
        Ok(all) => {
            let exact = all.len() as u64;
            assert_eq!(plain(exact).ok().as_ref(), Some(&all), "it depends on the budget");
            assert!(exact == 0 || plain(exact - 1).is_err(), "a budget is not kept");
            let metered = |mut metered: Metered<&[u8]>| {
                std::io::copy(&mut metered, &mut std::io::sink()).map_err(Trouble::reading)?;
                metered.digest()
            };
            let digests = (metered(Metered::new(&all, exact)), digest_of(all.as_slice()));
            assert!(matches!(&digests, (Ok(one), Ok(other)) if one == other), "{digests:?}");
        }
        Err(trouble) => blamed(&trouble),
    }
}

/// The same by way of a file and of a thread, as the helper reads a layer.
fn ahead(bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
    let file = tempfile::NamedTempFile::new().and_then(|file| fs::write(file.path(), bytes).map(|()| file));
    let file = file.unwrap_or_else(|error| panic!("no place for a stream: {error}"));
    let source = Source::open(&Span { file: file.path().to_owned(), offset: 0, length: None })?;
    let mut all = Vec::new();
    let read = Metered::new(Ahead::start(source)?, BUDGET.bytes).read_to_end(&mut all);
    read.map(|_| all).map_err(Trouble::reading)
}

/// The list of an archive's members.
pub fn indexed(_: Stand, bytes: &[u8], budget: &Budget) -> Result<Vec<Indexed>, Trouble> {
    let listed = index::list(Reader::new(bytes), budget);
    match &listed {
        Ok(members) => {
            assert!(members.len() as u64 <= budget.entries, "{} members", members.len());
            let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
            assert_eq!(names.len(), members.len(), "a name is listed twice");
        }
        Err(trouble) => blamed(trouble),
    }
    listed
}

/// Nothing but the bytes can be to blame when nothing but bytes is read.
fn blamed(trouble: &Trouble) {
    if let Trouble::Host(text) = trouble {
        panic!("this host is blamed for what the archive holds: {text}");
    }
}

/// A layer on top of another one: what comes out keeps to the budget, holds nothing dangerous, and touches nothing else.
pub fn unpack(bytes: &[u8]) {
    static WORKSHOP: OnceLock<Mutex<Workshop>> = OnceLock::new();
    let workshop = WORKSHOP.get_or_init(|| Mutex::new(Workshop::open()));
    let done = workshop.lock().unwrap_or_else(PoisonError::into_inner).tried(mended(bytes));
    if let Err(text) = done {
        panic!("{text}");
    }
}

/// The thread with a root of its own.
struct Workshop {
    layers: SyncSender<Vec<u8>>,
    outcomes: Receiver<Result<(), String>>,
}

const THREAD: &str = "workshop";

thread_local! {
    /// What the last panic of this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Workshop {
    fn open() -> Self {
        let stand = Stand::prepare();
        keep_panics();
        let place = tempfile::tempdir().unwrap_or_else(|error| panic!("no place for a root: {error}"));
        let (layers, orders) = sync_channel::<Vec<u8>>(0);
        let (reports, outcomes) = sync_channel(0);
        let path = place.path().to_owned();
        let work = move || {
            let bench = Bench::shut_in(stand, &path);
            // Answered before the first order, so that the place can go.
            let _ = reports.send(Ok(()));
            while let Ok(layer) = orders.recv() {
                let done = std::panic::catch_unwind(AssertUnwindSafe(|| bench.try_out(&layer)));
                let said = || SAID.with_borrow_mut(std::mem::take);
                if reports.send(done.map_err(|_| said())).is_err() {
                    break;
                }
            }
        };
        let started = std::thread::Builder::new().name(THREAD.to_owned()).spawn(work);
        started.unwrap_or_else(|error| panic!("no thread: {error}"));
        let workshop = Self { layers, outcomes };
        workshop.outcome().unwrap_or_else(|text| panic!("{text}"));
        workshop
    }

    fn tried(&self, layer: Vec<u8>) -> Result<(), String> {
        self.layers.send(layer).map_err(|_| "the workshop is closed".to_owned())?;
        self.outcome()
    }

    fn outcome(&self) -> Result<(), String> {
        self.outcomes.recv().unwrap_or_else(|_| Err("the workshop has ended; it needs root".to_owned()))
    }
}

/// A fuzzer ends the process at a panic and then writes down the bytes, which must not happen in the thread that sees
/// another root: what is said there is said again outside.
fn keep_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some(THREAD) && SAID.with_borrow(String::is_empty) {
            SAID.set(info.to_string());
        } else {
            before(info);
        }
    }));
}

/// What the thread works with.
struct Bench {
    below: File,
    /// In its root.
    names: Vec<Vec<u8>>,
    /// Everything in the lower layer, open, as it was at the start.
    held: Vec<(PathBuf, File, Likeness)>,
}

/// What shows every change of a file or directory.
type Likeness = (u32, u32, u64, u64, (i64, i64), (i64, i64));

fn likeness(file: &File) -> Likeness {
    let of = file.metadata().unwrap_or_else(|error| panic!("the lower layer: {error}"));
    (of.mode(), of.uid(), of.nlink(), of.len(), (of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec()))
}

impl Bench {
    /// Makes a lower layer and an empty root below `place`, in mounts that this thread alone sees, and makes the root
    /// its own.
    fn shut_in(_: Stand, place: &Path) -> Self {
        let made = || -> std::io::Result<Self> {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            let memory = |at: &Path| mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(ROOM));
            memory(place)?;
            let (below, root) = (place.join("below"), place.join("root"));
            fs::create_dir(&root)?;
            memory(&root)?;
            let held = lower_layer(&below)?;
            let names = fs::read_dir(&below)?.map(|entry| Ok(entry?.file_name().into_vec()));
            let names = names.collect::<std::io::Result<_>>()?;
            let below = File::open(&below)?;
            chroot(&root)?;
            chdir("/")?;
            nix::sys::stat::umask(nix::sys::stat::Mode::empty());
            Ok(Self { below, names, held })
        };
        let bench = made().unwrap_or_else(|error| panic!("make a root of its own: {error}"));
        let strangers = fs::read_dir("/").map_or(1, Iterator::count);
        assert_eq!(strangers, 0, "the root of this thread is not its own");
        bench
    }

    fn try_out(&self, bytes: &[u8]) {
        let outcome = self.unpacked(bytes);
        if let Err(trouble) = &outcome {
            blamed(trouble);
        }
        let mut seen = Seen::default();
        seen.walk(Path::new("/"));
        assert!(seen.entries <= BUDGET.entries, "{} entries", seen.entries);
        assert!(seen.bytes <= BUDGET.bytes, "{} bytes", seen.bytes);
        if let Ok(done) = outcome {
            assert!(done.entries <= BUDGET.entries && done.bytes <= BUDGET.bytes, "{done:?}");
        }
        for (path, file, before) in &self.held {
            assert_eq!(likeness(file), *before, "{} of the lower layer was changed", path.display());
        }
        for entry in fs::read_dir("/").unwrap_or_else(|error| panic!("the root: {error}")) {
            let path = entry.unwrap_or_else(|error| panic!("the root: {error}")).path();
            let gone = if path.symlink_metadata().is_ok_and(|it| it.is_dir()) {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            gone.unwrap_or_else(|error| panic!("what was unpacked cannot be removed: {}: {error}", path.display()));
        }
    }

    fn unpacked(&self, bytes: &[u8]) -> Result<Unpacked, Trouble> {
        let below = self.below.try_clone().map_err(|error| Trouble::host("keep the lower layer", error))?;
        let split = memfd_create(c"split", MemFdCreateFlag::MFD_CLOEXEC).map(File::from);
        let split = split.map_err(|error| Trouble::host("make a file in memory", error))?;
        let copy = split.try_clone().map_err(Trouble::recording)?;
        let (recorder, attic) = Recorder::start(copy).map_err(Trouble::recording)?;
        let mut layer = Layer {
            tree: Tree::new(Below::new(below.into(), self.names.clone()), attic),
            budget: BUDGET,
            done: Unpacked::default(),
            again: None,
        };
        layer.tree.start()?;
        let digest = layer.read(Metered::new(bytes, BUDGET.bytes), recorder)?;
        layer.tree.finish()?;
        let root = File::open("/").map_err(|error| Trouble::host("open the layer", error))?;
        let mut again = Vec::new();
        let open = |path: &Path| beneath::file(root.as_fd(), path).map_err(std::io::Error::from);
        split::assemble(&split, open, &digest, &mut again)
            .unwrap_or_else(|error| panic!("it cannot be written again: {}", tapit_model::describe(&error)));
        assert_eq!(again, bytes, "it is not written again as it was");
        Ok(layer.done)
    }
}

/// What a layer's parents can be below it: directories, links to them, out of the root and in a circle, and files.
fn lower_layer(at: &Path) -> std::io::Result<Vec<(PathBuf, File, Likeness)>> {
    fs::create_dir(at)?;
    let mut held = vec![PathBuf::new()];
    for directory in ["d", "d/e", "usr", "usr/bin", "tmp"] {
        fs::create_dir(at.join(directory))?;
        held.push(directory.into());
    }
    fs::set_permissions(at.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    for file in ["f", "d/f", "usr/bin/sh"] {
        fs::write(at.join(file), "below")?;
        held.push(file.into());
    }
    for (link, target) in [("bin", "usr/bin"), ("out", "../../etc"), ("abs", "/d"), ("loop", "loop"), ("d/up", "..")] {
        symlink(target, at.join(link))?;
    }
    // Links change with the directories that hold them.
    let hold = |path: PathBuf| File::open(at.join(&path)).map(|file| (path, likeness(&file), file));
    let held = held.into_iter().map(hold).collect::<std::io::Result<Vec<_>>>()?;
    Ok(held.into_iter().map(|(path, likeness, file)| (path, file, likeness)).collect())
}

/// What there is in the root, without ever following a link.
#[derive(Default)]
struct Seen {
    entries: u64,
    bytes: u64,
    inodes: BTreeSet<u64>,
}

impl Seen {
    fn walk(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.unwrap_or_else(|error| panic!("{}: {error}", directory.display())).path();
            let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            self.take(&path, &metadata);
            if metadata.is_dir() {
                self.walk(&path);
            }
        }
    }

    fn take(&mut self, path: &Path, metadata: &Metadata) {
        self.entries += 1;
        let kind = metadata.file_type();
        assert!(!kind.is_block_device() && !kind.is_socket(), "{} is a device or socket", path.display());
        assert!(!kind.is_char_device() || metadata.rdev() == 0, "{} is a device", path.display());
        if metadata.is_file() && self.inodes.insert(metadata.ino()) {
            self.bytes += metadata.len();
        }
    }
}
