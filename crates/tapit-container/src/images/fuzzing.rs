//! Tries the parsers of what a registry, a user or an archive says about images with any bytes. See `crate::fuzzing`.

use std::io::{Read, Write};

use tapit_model::{ImageRef, RegistryName};

use super::archive::{self, Members};
use super::config::{self, MAX_LAYERS};
use super::credentials::Secret;
use super::credentials::file::{File, Place};
use super::error::{Fault, MAX_TEXT};
use super::helper::Budget;
use super::manifest::{self, Parsed, Platform};
use super::tarball::{Kind, Member, Reader, TarError};
use crate::linux::unpack::fuzzing::{Stand, indexed};

/// The same on every machine, so that a finding is one everywhere.
const HERE: Platform = Platform { os: "linux", architecture: "amd64" };
const LARGEST_PORT_COUNT: usize = 65_535;
/// What an archive may hold here.
const BUDGET: Budget = Budget { bytes: 1 << 20, entries: 256 };

/// References and names of registries: what is understood is printed so that it is understood the same.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(image) = ImageRef::parse(text) {
        let shown = image.to_string();
        assert_eq!(ImageRef::parse(&shown).as_ref(), Ok(&image), "{text:?} is printed as {shown:?}");
        let registry = image.registry();
        assert!(RegistryName::parse(registry).is_ok(), "{text:?} names a registry {registry:?} that cannot be set");
        let parts = image.repository().split('/');
        assert!(parts.clone().all(|part| !matches!(part, "" | "." | "..")), "{text:?} has a part that is no name");
        assert!(image.tag().is_some() || image.digest().is_some(), "{text:?} names no version");
        assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?} is printed with more than ASCII");
    }
    if let Ok(registry) = RegistryName::parse(text) {
        assert_eq!(RegistryName::parse(registry.as_str()).as_ref(), Ok(&registry));
        let image = format!("{registry}/a");
        // A bare word before a slash is a user of Docker Hub to every tool, and Docker Hub's old name means the new one.
        let is_host = registry.as_str().contains(['.', ':']) || registry.as_str() == "localhost";
        if is_host && registry.as_str() != "index.docker.io" {
            let image = ImageRef::parse(&image).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(image.registry(), registry.as_str());
        }
    }
}

/// Manifests and indexes, and the choice among an index' entries.
pub fn manifest(bytes: &[u8]) {
    match manifest::parse(bytes) {
        Err(fault) => told(&fault),
        Ok(Parsed::Manifest(manifest)) => {
            assert!(manifest.layers.len() <= MAX_LAYERS, "{} layers", manifest.layers.len());
        }
        Ok(Parsed::Index(entries)) => match manifest::pick(&entries, &HERE) {
            Err(fault) => told(&fault),
            Ok(picked) => assert!(entries.contains(picked)),
        },
    }
}

/// The configuration of an image.
pub fn config(bytes: &[u8]) {
    let config = match config::parse(bytes, &HERE) {
        Err(fault) => return told(&fault),
        Ok(config) => config,
    };
    assert!((1..=MAX_LAYERS).contains(&config.diff_ids.len()), "{} layers", config.diff_ids.len());
    let run = config.run;
    assert!(run.layers.is_empty(), "a configuration cannot say where layers lie");
    let words = run.entrypoint.iter().chain(&run.cmd).chain(&run.env).chain([&run.user, &run.working_dir]);
    assert!(words.clone().all(|word| !word.contains('\0')), "a NUL byte is left");
    assert!(run.env.iter().all(|word| word.contains('=')), "a variable has no value");
    assert!(run.exposed.is_sorted() && run.exposed.len() <= LARGEST_PORT_COUNT);
    assert!(run.exposed.windows(2).all(|pair| pair[0] != pair[1]), "a port is there twice");
    assert!(run.stop_signal.is_none_or(|signal| !signal.is_empty()));
}

/// The file that `docker login` writes, for some registry.
pub fn credentials(bytes: &[u8]) {
    let Ok(file) = File::parse(bytes) else { return };
    for registry in ["docker.io", "ghcr.io", "127.0.0.1:5000", "a"] {
        match file.place(registry) {
            Place::Helper(name) => assert!(!name.is_empty(), "a helper without a name"),
            Place::Entry(Secret::Password { user, .. }) => assert!(!user.contains(':'), "a user that is two fields"),
            Place::Entry(Secret::IdentityToken(token)) => assert!(!token.is_empty(), "an empty token"),
            Place::Nowhere | Place::Broken => {}
        }
    }
}

/// A tar, read in one go and drop by drop: both times the same comes out, and it lies where it is said to lie.
pub fn tar(bytes: &[u8]) {
    let bytes = mended(bytes);
    let whole = members(bytes.as_slice());
    let drops = members(Drip(&bytes));
    assert_eq!(format!("{whole:?}"), format!("{drops:?}"), "it depends on how the bytes come in");
    let Ok(members) = whole else { return };
    assert!(members.len() <= bytes.len() / 512, "{} members of {} bytes", members.len(), bytes.len());
    let mut end = 0;
    for Taken { member, content, stored } in &members {
        assert!(member.offset >= end && member.offset <= bytes.len() as u64, "content before its header");
        assert!(member.kind == Kind::File || *stored == 0, "{:?} with content", member.kind);
        assert!(member.mtime.1 < 1_000_000_000, "a second has {} nanoseconds", member.mtime.1);
        if member.kind == Kind::File && member.contiguous {
            let offset = usize::try_from(member.offset).unwrap_or(usize::MAX);
            assert_eq!(bytes.get(offset..offset + content.len()), Some(content.as_slice()), "content from elsewhere");
            assert_eq!(member.size, *stored);
        }
        assert!(*stored <= member.size, "more content than the file has");
        end = member.offset + stored;
    }
}

/// What was read of one member.
#[derive(Debug)]
struct Taken {
    member: Member,
    /// Without its holes.
    content: Vec<u8>,
    stored: u64,
}

fn members(input: impl Read) -> Result<Vec<Taken>, String> {
    let told = |error: TarError| match error {
        TarError::Malformed(text) => text,
        TarError::Read(error) => panic!("memory cannot be read: {error}"),
        TarError::Record(error) => panic!("nothing is recorded: {error}"),
    };
    let mut reader = Reader::new(input);
    let mut members = Vec::new();
    while let Some(member) = reader.next().map_err(told)? {
        let (mut content, mut end) = (Vec::new(), 0);
        let taken = reader.content::<TarError>(|offset, bytes| {
            assert!(offset >= end, "content goes backwards");
            end = offset.checked_add(bytes.len() as u64).unwrap_or_else(|| panic!("content ends nowhere"));
            assert!(end <= member.size, "content goes beyond the file's end");
            content.extend_from_slice(bytes);
            Ok(())
        });
        taken.map_err(told)?;
        let stored = content.len() as u64;
        members.push(Taken { member, content, stored });
    }
    reader.drain().map_err(told)?;
    Ok(members)
}

/// Hands out its bytes in pieces of changing sizes.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let piece = 1 + self.0.len() % 7 * 60;
        let got = piece.min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(got);
        buffer[..got].copy_from_slice(now);
        self.0 = later;
        Ok(got)
    }
}

/// Rights the checksum of every block that looks like a header: no mutation would ever get past it otherwise.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

/// An archive of images, from its bytes to what is known of each image in it.
pub fn archive(bytes: &[u8]) {
    let stand = Stand::prepare();
    let bytes = mended(bytes);
    let Ok(index) = indexed(stand, &bytes, &BUDGET) else { return };
    for member in &index {
        let end = member.offset.checked_add(member.length);
        assert!(end.is_some_and(|end| end <= bytes.len() as u64), "{:?} is not within the archive", member.name);
        let parts = member.name.split('/');
        assert!(parts.clone().all(|part| !matches!(part, "" | "." | "..")), "{:?} is not normal", member.name);
    }
    let written = tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(&bytes).map(|()| file));
    let file = written.unwrap_or_else(|error| panic!("no place for an archive: {error}"));
    let members = Members::open(file.path().to_owned(), index).unwrap_or_else(|fault| panic!("{fault:?}"));
    match archive::read(&members, &HERE) {
        Err(fault) => told(&fault),
        Ok(images) => {
            assert!(!images.is_empty());
            for image in images {
                assert_eq!(image.layers.len(), image.config.diff_ids.len());
                let end = |offset: u64, length: Option<u64>| offset + length.unwrap_or(u64::MAX / 2);
                let within = |end: u64| end <= bytes.len() as u64;
                assert!(image.layers.iter().all(|(span, _)| within(end(span.offset, span.length))));
            }
        }
    }
}

/// What a user reads is one line of a bearable length without a terminal's commands, and this host is not to blame.
fn told(fault: &Fault) {
    assert!(!fault.text.is_empty() && fault.text.len() <= MAX_TEXT, "a text of {} bytes", fault.text.len());
    assert!(!fault.text.chars().any(char::is_control), "{:?}", fault.text);
    assert_eq!(fault.fault, tapit_engine::ImageFault::Invalid, "{}", fault.text);
}
