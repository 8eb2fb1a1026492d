use super::*;

fn members(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = reader.next()? {
        let mut content = Vec::new();
        reader.content::<TarError>(|offset, bytes| {
            content.resize(usize::try_from(offset).expect("small"), 0);
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        members.push((member, content));
    }
    Ok(members)
}

fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    builder.into_inner().expect("archive")
}

fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(7);
    builder.append_data(&mut header, path, content).expect("append");
}

#[test]
fn members_are_read_with_their_content() {
    let long = "d/".repeat(120) + "file";
    let bytes = archive(|builder| {
        file(builder, "a", b"one");
        file(builder, &long, &[9; 1000]);
    });
    let members = members(&bytes).expect("members");
    assert_eq!(members[0].0.path, b"a");
    assert_eq!((members[0].0.size, members[0].0.mtime, members[0].0.offset), (3, (7, 0), 512));
    assert_eq!(members[0].1, b"one");
    assert_eq!(members[1].0.path, long.as_bytes());
    assert_eq!(members[1].1, [9; 1000]);
}

#[test]
fn binary_attributes_survive_newlines() {
    let value = b"\x0a\n\x00=\x0a 7 size=9\n";
    let bytes = archive(|builder| {
        builder
            .append_pax_extensions([("SCHILY.xattr.security.capability", &value[..]), ("mtime", b"12.5")])
            .expect("pax");
        file(builder, "a", b"one");
    });
    let members = members(&bytes).expect("members");
    assert_eq!(members[0].0.xattrs, [(b"security.capability".to_vec(), value.to_vec())]);
    assert_eq!(members[0].0.mtime, (12, 500_000_000));
    assert_eq!(members[0].1, b"one");
}

#[test]
fn what_is_not_a_tar_or_cut_short_is_told_apart() {
    let text = |bytes: &[u8]| members(bytes).expect_err("refused").to_string();
    assert_eq!(text(b"hello"), "this is not a tar archive");
    assert_eq!(text(&[7; 4096]), "this is not a tar archive");
    let bytes = archive(|builder| file(builder, "a", &[1; 5000]));
    assert_eq!(text(&bytes[..3000]), "the archive ends early; it was cut short");
    assert_eq!(text(&bytes[..4999 + 512]), "the archive ends early; it was cut short");
    assert_eq!(members(&bytes[..5000 + 512]).expect("whole but for its padding")[0].1, [1; 5000]);
}

#[test]
fn an_extended_header_has_a_bound() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(1 << 40);
    header.set_cksum();
    let text = members(header.as_bytes()).expect_err("refused").to_string();
    assert!(text.contains("at most 1048576"), "{text}");
}
