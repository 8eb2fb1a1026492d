//! Unpacks one layer.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tapit_model::Digest;

use super::below::Below;
use super::place::{self, Placed};
use super::sandbox;
use super::source::{Ahead, Metered, Source, decompress, digest_of, over_budget};
use super::tree::{Tree, names};
use super::trouble::Trouble;
use crate::images::helper::{Budget, Keep, Order, Unpacked};
use crate::images::split::Recorder;
use crate::images::tarball::{Kind, Member, Reader};

/// Obeys a layer order: checks, shuts itself in, unpacks or only takes it, compares the digest. That all of it is on disk is seen to later,
/// for all layers of an image together (`images::settle`).
pub fn unpack(order: &Order) -> Result<Unpacked, Trouble> {
    let Order::Layer { keep, blob, digest, diff_id, target, split, layers, below, empty, budget } = order else {
        return Err(Trouble::Host("the unpacking helper was given another order than one for a layer".to_owned()));
    };
    // Twice, because each has a position of its own.
    let (source, again) = (Source::open(blob)?, Source::open(blob)?);
    let root = File::open(target).map_err(|error| Trouble::host("open the layer's directory", error))?;
    // Appended to, because what is recorded and what is put in the attic go to it by turns.
    let split = OpenOptions::new().append(true).open(split);
    let split = split.map_err(|error| Trouble::host("open the file for what is no content", error))?;
    let below = match keep {
        Keep::Unpacked => {
            sandbox::leave_namespaces()?;
            sandbox::look_below(layers, below, empty)?
        }
        Keep::Packed => {
            sandbox::leave_namespaces_as_anybody()?;
            Below::nothing()
        }
    };
    sandbox::shut_in(&root)?;
    if let Some(digest) = digest {
        let found = digest_of(source.stored()?)?;
        if found != *digest {
            return Err(Trouble::bad(format!("its content has the digest {found}, not {digest}")));
        }
    }
    let plain = Ahead::start(source)?;
    let (recorder, attic) = Recorder::start(split).map_err(Trouble::recording)?;
    let metered = Metered::new(plain, budget.bytes);
    let tree = match keep {
        Keep::Unpacked => Tree::new(below, attic),
        Keep::Packed => return record(metered, recorder, diff_id),
    };
    let mut layer = Layer { tree, budget: budget.clone(), done: Unpacked::default(), again: Some(again) };
    layer.tree.start()?;
    check(&layer.read(metered, recorder)?, diff_id)?;
    layer.tree.finish()?;
    Ok(layer.done)
}

fn check(found: &Digest, diff_id: &Digest) -> Result<(), Trouble> {
    if found == diff_id {
        return Ok(());
    }
    Err(Trouble::bad(format!("it unpacks to {found}, but the image's configuration says {diff_id}")))
}

/// Takes all of a layer as it is. What it says is for whoever unpacks it.
fn record(mut plain: Metered<Ahead>, mut recorder: Recorder, diff_id: &Digest) -> Result<Unpacked, Trouble> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        sandbox::still_wanted()?;
        let got = plain.read(&mut buffer).map_err(Trouble::reading)?;
        if got == 0 {
            break;
        }
        recorder.write_all(&buffer[..got]).map_err(Trouble::recording)?;
        bytes += got as u64;
    }
    recorder.finish().map_err(Trouble::recording)?;
    check(&plain.digest()?, diff_id)?;
    Ok(Unpacked { bytes, ..Unpacked::default() })
}

pub struct Layer {
    pub tree: Tree,
    pub budget: Budget,
    pub done: Unpacked,
    /// The layer once more, to look ahead in when it turns out to be large.
    pub again: Option<Source>,
}

/// Making files is slow, reading through an archive is not: a layer that gets this far is looked through before more is
/// made of it, so that one of a million files is refused in seconds. Nearly all real layers end before.
const LARGE: Budget = Budget { bytes: 2 << 30, entries: 10_000 };

/// A name that speaks of the lower layers.
#[derive(Debug, PartialEq, Eq)]
enum Whiteout<'a> {
    One(&'a [u8]),
    All,
    /// Bookkeeping of an old file system that means nothing here.
    Ignored,
}

impl Layer {
    pub fn read<R: Read>(&mut self, metered: Metered<R>, recorder: Recorder) -> Result<Digest, Trouble> {
        let mut reader = Reader::recording(metered, recorder);
        while let Some(member) = reader.next()? {
            sandbox::still_wanted()?;
            spend(&mut self.done, &member, &self.budget)?;
            self.look_ahead()?;
            self.tree.room = self.budget.bytes - self.done.bytes;
            self.tree.entries = self.budget.entries - self.done.entries;
            let placed = self.take(&member)?;
            self.done.bytes = self.budget.bytes - self.tree.room;
            self.done.entries = self.budget.entries - self.tree.entries;
            if let Placed::File(path, file) = placed {
                if member.size > 0 {
                    let extents = reader.extents().to_vec();
                    reader.raw().content(below_root(&path), &extents).map_err(Trouble::recording)?;
                }
                reader.content(|offset, bytes| place::write(&path, &file, offset, bytes))?;
                file.set_len(member.size).map_err(|error| Trouble::at("set the size of", &path, error))?;
                self.dress(&path, &member)?;
            }
        }
        reader.drain()?;
        let (metered, recorder) = reader.into_parts();
        recorder.finish().map_err(Trouble::recording)?;
        metered.digest()
    }

    /// Refuses a large layer that would come to more than it may, once.
    fn look_ahead(&mut self) -> Result<(), Trouble> {
        if self.done.entries < LARGE.entries && self.done.bytes < LARGE.bytes {
            return Ok(());
        }
        let Some(again) = self.again.take() else { return Ok(()) };
        let (_, plain) = decompress(again.stored()?)?;
        let mut reader = Reader::new(plain.take(self.budget.bytes.saturating_add(1)));
        let mut all = Unpacked::default();
        while let Some(member) = reader.next()? {
            sandbox::still_wanted()?;
            spend(&mut all, &member, &self.budget)?;
        }
        Ok(())
    }

    fn take(&mut self, member: &Member) -> Result<Placed, Trouble> {
        let names = names(&member.path)?;
        let Some((name, parent)) = names.split_last() else {
            return self.root(member);
        };
        if let Some(whiteout) = whiteout(name)? {
            let directory = self.tree.directory(parent)?;
            return match whiteout {
                Whiteout::One(name) => self.tree.hide(&directory, name),
                Whiteout::All => self.tree.hide_all(&directory),
                Whiteout::Ignored => Ok(()),
            }
            .map(|()| Placed::Done);
        }
        if member.kind == Kind::Device {
            self.done.skipped_devices += 1;
            return Ok(Placed::Done);
        }
        let path = self.tree.directory(parent)?.join(OsString::from_vec(name.to_vec()));
        let placed = place::place(&mut self.tree, &path, member)?;
        match (&placed, member.kind) {
            (Placed::Done, Kind::Directory | Kind::Symlink | Kind::Fifo) => self.dress(&path, member)?,
            (Placed::Done, Kind::File | Kind::HardLink | Kind::Device) | (Placed::File(..), _) => {}
        }
        Ok(placed)
    }

    fn root(&mut self, member: &Member) -> Result<Placed, Trouble> {
        if member.kind != Kind::Directory {
            return Err(Trouble::bad("its root is not a directory"));
        }
        self.dress(&PathBuf::from("/"), member).map(|()| Placed::Done)
    }

    fn dress(&mut self, path: &Path, member: &Member) -> Result<(), Trouble> {
        self.done.skipped_xattrs += place::dress(&mut self.tree, path, member)?.0;
        Ok(())
    }
}

/// Counts a member against the budget.
fn spend(done: &mut Unpacked, member: &Member, budget: &Budget) -> Result<(), Trouble> {
    done.entries += 1;
    if done.entries > budget.entries {
        return Err(Trouble::bad(format!("it has more than {} entries", budget.entries)));
    }
    // The size counts, holes included: what a hole costs when it is copied up or filled is the host's.
    done.bytes = done.bytes.saturating_add(member.size);
    if done.bytes > budget.bytes {
        return Err(Trouble::bad(over_budget()));
    }
    Ok(())
}

fn below_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn whiteout(name: &[u8]) -> Result<Option<Whiteout<'_>>, Trouble> {
    let Some(hidden) = name.strip_prefix(b".wh.") else {
        return Ok(None);
    };
    match hidden {
        b".wh..opq" => Ok(Some(Whiteout::All)),
        b"" | b"." | b".." => {
            Err(Trouble::bad(format!("{:?} is a whiteout of no name", String::from_utf8_lossy(name))))
        }
        hidden if hidden.starts_with(b".wh.") => Ok(Some(Whiteout::Ignored)),
        hidden => Ok(Some(Whiteout::One(hidden))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_told_by_their_names() {
        let of = |name: &'static str| whiteout(name.as_bytes());
        assert!(matches!(of("x"), Ok(None)));
        assert!(matches!(of(".wh.x"), Ok(Some(Whiteout::One(b"x")))));
        assert!(matches!(of(".wh..wh..opq"), Ok(Some(Whiteout::All))));
        assert!(matches!(of(".wh..wh.plnk"), Ok(Some(Whiteout::Ignored))));
        assert!(of(".wh...").is_err() && of(".wh..").is_err() && of(".wh.").is_err());
    }
}
