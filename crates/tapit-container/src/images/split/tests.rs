use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::images::hash::sha256;
use crate::images::tarball::Extent;

/// A split file of: raw, a live file, a replaced file, raw; and the tar that it stands for.
fn written(directory: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let path = directory.join("split");
    let (mut recorder, mut attic) = Recorder::start(File::create(&path).expect("file")).expect("started");
    let replaced: Vec<u8> = (0..3_000_000u32).map(|number| ((number * 31) >> 3) as u8).collect();
    let live: Vec<u8> = (0..700_000u32).map(|number| ((number * 17) >> 5) as u8).collect();
    std::fs::write(directory.join("live"), &live).expect("live");
    let header = vec![7; 300_000];
    recorder.write_all(&header).expect("raw");
    recorder.content(Path::new("live"), &[Extent { offset: 0, length: 700_000 }]).expect("content");
    let extents = [Extent { offset: 10, length: 2_000_000 }, Extent { offset: 2_500_000, length: 500_000 }];
    recorder.content(Path::new("gone"), &extents).expect("content");
    attic.keep(Path::new("gone"), &mut replaced.as_slice()).expect("kept");
    recorder.content(Path::new("gone"), &[]).expect("content");
    attic.keep(Path::new("gone"), &mut [0; 10].as_slice()).expect("kept");
    recorder.content(Path::new("gone"), &[Extent { offset: 2, length: 3 }]).expect("content");
    attic.keep(Path::new("gone"), &mut b"0123456789".as_slice()).expect("kept");
    recorder.write_all(&[0; 1024]).expect("raw");
    recorder.finish().expect("finished");
    let tar = [&header[..], &live, &replaced[10..2_000_010], &replaced[2_500_000..], b"234", &[0; 1024]].concat();
    (path, tar)
}

fn assembled(directory: &Path, split: &Path, tar: &[u8]) -> Result<Vec<u8>, SplitError> {
    let mut out = Vec::new();
    let digest = sha256(tar).expect("digest");
    let split = File::open(split).expect("split");
    assemble(&split, |path| File::open(directory.join(path)), &digest, &mut out).map(|()| out)
}

#[test]
fn what_was_taken_apart_is_put_together_again() {
    let directory = tempfile::tempdir().expect("directory");
    let (split, tar) = written(directory.path());
    assert!(assembled(directory.path(), &split, &tar).expect("assembled") == tar);
}

#[test]
fn a_file_that_was_changed_is_told() {
    let directory = tempfile::tempdir().expect("directory");
    let (split, tar) = written(directory.path());
    let live = directory.path().join("live");
    let mut content = std::fs::read(&live).expect("live");
    content[5] ^= 1;
    std::fs::write(&live, &content).expect("live");
    assert!(matches!(assembled(directory.path(), &split, &tar), Err(SplitError::Changed { .. })));
    content.pop();
    std::fs::write(&live, &content).expect("live");
    assert!(matches!(assembled(directory.path(), &split, &tar), Err(SplitError::Content { .. })));
    std::fs::remove_file(&live).expect("removed");
    assert!(matches!(assembled(directory.path(), &split, &tar), Err(SplitError::Content { .. })));
}

#[test]
fn damage_anywhere_ends_in_an_error_or_does_no_harm() {
    let directory = tempfile::tempdir().expect("directory");
    let (split, tar) = written(directory.path());
    let whole = std::fs::read(&split).expect("split");
    for nth in 0..40 {
        let mut damaged = whole.clone();
        let at = nth * (whole.len() - 1) / 39;
        damaged[at] ^= 0x55;
        std::fs::write(&split, &damaged).expect("split");
        // What a replaced file held between its stretches is not asked for.
        if let Ok(again) = assembled(directory.path(), &split, &tar) {
            assert!(again == tar, "byte {at}");
        }
        std::fs::write(&split, &whole[..at]).expect("split");
        assert!(assembled(directory.path(), &split, &tar).is_err(), "cut at {at}");
    }
}
