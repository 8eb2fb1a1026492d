//! Lists the members of an archive, so that the server can read each where it lies without parsing the archive itself.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::sandbox;
use super::source::{Metered, Source, decompress};
use super::tree::names;
use super::trouble::Trouble;
use crate::images::blobs::Packing;
use crate::images::helper::{Answer, Budget, Indexed, Span};
use crate::images::tarball::{Kind, Reader};

const MAX_HOPS: u32 = 8;

/// A member by its normalised name: where it lies, or the name that it is a link to.
enum Entry {
    File { offset: u64, length: u64 },
    Link(String),
}

pub fn run(archive: &Path, spool: &Path, empty: &Path, budget: &Budget) -> Result<Answer, Trouble> {
    let source = Source::open(&Span { file: archive.to_owned(), offset: 0, length: None })?;
    let failed = |error: io::Error| Trouble::host("open the spool file", error);
    let mut spool = OpenOptions::new().read(true).write(true).open(spool).map_err(failed)?;
    let root = File::open(empty).map_err(|error| Trouble::host("open an empty directory", error))?;
    sandbox::leave_namespaces_as_anybody()?;
    sandbox::shut_in(&root)?;
    let (packing, plain) = decompress(source.stored()?)?;
    let (spooled, members) = match packing {
        Packing::Plain => {
            drop(plain);
            (false, list(Reader::new(source.stored()?), budget)?)
        }
        Packing::Gzip | Packing::Zstd => {
            spool_plain(plain, &mut spool, budget)?;
            (true, list(Reader::new(&mut spool), budget)?)
        }
    };
    Ok(Answer::Index { spooled, members })
}

fn spool_plain(plain: impl io::Read, spool: &mut File, budget: &Budget) -> Result<(), Trouble> {
    let mut metered = Metered::new(plain, budget.bytes);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let got = io::Read::read(&mut metered, &mut buffer).map_err(Trouble::reading)?;
        if got == 0 {
            break;
        }
        sandbox::still_wanted()?;
        io::Write::write_all(spool, &buffer[..got]).map_err(|error| Trouble::host("spool the archive", error))?;
    }
    spool.seek(SeekFrom::Start(0)).map(drop).map_err(|error| Trouble::host("seek in the spool file", error))
}

/// Every member with content that a manifest could name, links followed.
pub fn list<R: io::Read>(mut reader: Reader<R>, budget: &Budget) -> Result<Vec<Indexed>, Trouble> {
    let mut entries = BTreeMap::new();
    let mut seen = 0;
    while let Some(member) = reader.next()? {
        sandbox::still_wanted()?;
        seen += 1;
        if seen > budget.entries {
            return Err(Trouble::bad(format!("the archive has more than {} members", budget.entries)));
        }
        // What no manifest can name is of no use.
        let Some(name) = joined(&names(&member.path)?) else { continue };
        let entry = match member.kind {
            Kind::File if member.contiguous => Entry::File { offset: member.offset, length: member.size },
            Kind::HardLink => match joined(&names(&member.link)?) {
                Some(target) => Entry::Link(target),
                None => continue,
            },
            Kind::Symlink => match beside(&name, &member.link) {
                Some(target) => Entry::Link(target),
                None => continue,
            },
            Kind::File | Kind::Directory | Kind::Fifo | Kind::Device => continue,
        };
        entries.insert(name, entry);
    }
    if seen == 0 {
        return Err(Trouble::bad("the archive is empty"));
    }
    Ok(resolve(&entries))
}

fn joined(names: &[&[u8]]) -> Option<String> {
    let names: Option<Vec<&str>> = names.iter().map(|name| std::str::from_utf8(name).ok()).collect();
    names.filter(|names| !names.is_empty()).map(|names| names.join("/"))
}

/// The name that a symlink in the archive means, by its text alone: `docker save` links a repeated layer to the first.
fn beside(link: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    let mut at: Vec<&str> = link.split('/').collect();
    at.pop();
    if target.starts_with('/') {
        return None;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(at.pop()?),
            part => at.push(part),
        }
    }
    Some(at.join("/"))
}

fn resolve(entries: &BTreeMap<String, Entry>) -> Vec<Indexed> {
    let find = |name: &str| {
        let mut at = name;
        for _ in 0..MAX_HOPS {
            match entries.get(at)? {
                Entry::File { offset, length } => return Some((*offset, *length)),
                Entry::Link(target) => at = target,
            }
        }
        None
    };
    let indexed = |name: &String| find(name).map(|(offset, length)| Indexed { name: name.clone(), offset, length });
    entries.keys().filter_map(indexed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symlink_in_an_archive_is_resolved_by_its_text() {
        assert_eq!(beside("a/layer.tar", b"../b/layer.tar").as_deref(), Some("b/layer.tar"));
        assert_eq!(beside("a", b"../b"), None);
        assert_eq!(beside("a", b"/etc/passwd"), None);
    }
}
