//! Small files of the engine, replaced as a whole. They need not survive the end of the host: a later server does without.

use std::io::{self, Write};
use std::path::Path;

pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
