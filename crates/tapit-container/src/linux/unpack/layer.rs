//! Unpacks one layer.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::place::{self, Placed};
use super::sandbox;
use super::source::{Metered, Source, decompress, digest_of, over_budget};
use super::tree::{Tree, names};
use super::trouble::Trouble;
use crate::images::helper::{Budget, Order, Unpacked};
use crate::images::tarball::{Kind, Member, Reader};

/// Obeys a layer order: checks, shuts itself in, unpacks, compares the digest, and sees to it that all is on disk.
pub fn unpack(order: &Order) -> Result<Unpacked, Trouble> {
    let Order::Layer { blob, digest, diff_id, target, layers, below, empty, budget } = order else {
        return Err(Trouble::Host("the unpacking helper was given another order than one for a layer".to_owned()));
    };
    let source = Source::open(blob)?;
    let root = File::open(target).map_err(|error| Trouble::host("open the layer's directory", error))?;
    sandbox::leave_namespaces()?;
    let below = sandbox::look_below(layers, below, empty)?;
    sandbox::shut_in(&root)?;
    if let Some(digest) = digest {
        let found = digest_of(source.stored()?)?;
        if found != *digest {
            return Err(Trouble::bad(format!("its content has the digest {found}, not {digest}")));
        }
    }
    let (_, plain) = decompress(source.stored()?)?;
    let mut layer = Layer { tree: Tree::new(below), budget: budget.clone(), done: Unpacked::default() };
    layer.tree.start()?;
    let found = layer.read(Metered::new(plain, budget.bytes))?;
    if found != *diff_id {
        return Err(Trouble::bad(format!("it unpacks to {found}, but the image's configuration says {diff_id}")));
    }
    layer.tree.finish()?;
    nix::unistd::syncfs(root.as_raw_fd()).map_err(|error| Trouble::host("write the layer to disk", error))?;
    Ok(layer.done)
}

struct Layer {
    tree: Tree,
    budget: Budget,
    done: Unpacked,
}

/// A name that speaks of the lower layers.
#[derive(Debug, PartialEq, Eq)]
enum Whiteout<'a> {
    One(&'a [u8]),
    All,
    /// Bookkeeping of an old file system that means nothing here.
    Ignored,
}

impl Layer {
    fn read<R: Read>(&mut self, metered: Metered<R>) -> Result<tapit_model::Digest, Trouble> {
        let mut reader = Reader::new(metered);
        while let Some(member) = reader.next()? {
            sandbox::still_wanted()?;
            self.spend(&member)?;
            if let Placed::File(path, file) = self.take(&member)? {
                reader.content(|offset, bytes| place::write(&path, &file, offset, bytes))?;
                file.set_len(member.size).map_err(|error| Trouble::at("set the size of", &path, error))?;
                self.dress(&path, &member)?;
            }
        }
        reader.drain()?;
        reader.into_inner().digest()
    }

    fn spend(&mut self, member: &Member) -> Result<(), Trouble> {
        self.done.entries += 1;
        if self.done.entries > self.budget.entries {
            return Err(Trouble::bad(format!("it has more than {} entries", self.budget.entries)));
        }
        // The size counts, holes included: what a hole costs when it is copied up or filled is the host's.
        self.done.bytes = self.done.bytes.saturating_add(member.size);
        if self.done.bytes > self.budget.bytes {
            return Err(Trouble::bad(over_budget()));
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
