//! Extended headers: `LENGTH KEY=VALUE\n` records, read by their length.

use super::TarError;

/// What extended headers say of the member behind them.
#[derive(Debug, Default)]
pub struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// What GNU tar says of a file with holes. It has done so in three ways over the years, 0.0, 0.1 and 1.0.
#[derive(Debug, Default)]
pub struct Sparse {
    pub name: Option<Vec<u8>>,
    major: Option<u64>,
    minor: Option<u64>,
    /// Of the whole file, holes included.
    size: Option<u64>,
    /// Offset and length by turns.
    map: Vec<u64>,
    /// There is a map, be it empty.
    mapped: bool,
}

/// How the stored bytes of a member are to be understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Form<'a> {
    Whole,
    Mapped {
        map: &'a [u64],
        size: u64,
    },
    /// They begin with the map.
    MapInContent {
        size: u64,
    },
}

impl Sparse {
    pub fn form(&self) -> Result<Form<'_>, TarError> {
        let size = || self.size.ok_or_else(|| TarError::malformed("a sparse file in the archive states no size"));
        match (self.major, self.minor) {
            (None, None) if !self.mapped => Ok(Form::Whole),
            (None, None) | (Some(0), Some(0 | 1)) => Ok(Form::Mapped { map: &self.map, size: size()? }),
            (Some(1), Some(0)) => Ok(Form::MapInContent { size: size()? }),
            (Some(_) | None, Some(_) | None) => {
                Err(TarError::malformed("the archive holds a sparse file in an unknown form"))
            }
        }
    }

    fn take(&mut self, key: &[u8], name: &[u8], value: &[u8]) -> Result<(), TarError> {
        match name {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(number(key, value)?),
            b"minor" => self.minor = Some(number(key, value)?),
            b"size" | b"realsize" => self.size = Some(number(key, value)?),
            // The map says it as well.
            b"numblocks" => self.mapped = true,
            b"offset" if self.map.len().is_multiple_of(2) => self.map.push(number(key, value)?),
            b"numbytes" if !self.map.len().is_multiple_of(2) => self.map.push(number(key, value)?),
            b"map" => {
                self.mapped = true;
                let numbers = value.split(|byte| *byte == b',').filter(|text| !text.is_empty());
                self.map = numbers.map(|text| number(key, text)).collect::<Result<_, _>>()?;
            }
            _ => {
                let shown = String::from_utf8_lossy(&key[..key.len().min(100)]).into_owned();
                return Err(TarError::malformed(format!("the extended header's {shown} has no place there")));
            }
        }
        Ok(())
    }
}

const SPARSE: &[u8] = b"GNU.sparse.";
const XATTR: &[u8] = b"SCHILY.xattr.";

impl Extended {
    pub fn read_pax(&mut self, mut data: &[u8]) -> Result<(), TarError> {
        while !data.is_empty() {
            let (key, value, rest) =
                record(data).ok_or_else(|| TarError::malformed("an extended header is malformed"))?;
            self.take(key, value)?;
            data = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        if value.is_empty() && !key.starts_with(XATTR) {
            // Says nothing: what the header itself has counts.
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(key, value)?),
            b"uid" => self.uid = Some(number(key, value)?),
            b"gid" => self.gid = Some(number(key, value)?),
            b"mtime" => self.mtime = Some(time(value).ok_or_else(|| unusable(key))?),
            key if key.starts_with(SPARSE) => self.sparse.take(key, &key[SPARSE.len()..], value)?,
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &data[length..]))
}

fn number(key: &[u8], value: &[u8]) -> Result<u64, TarError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or_else(|| unusable(key))
}

fn unusable(key: &[u8]) -> TarError {
    TarError::malformed(format!("the extended header's {} is not a number", String::from_utf8_lossy(key)))
}

/// Decimal seconds; digits beyond nanoseconds are cut off.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: u32 = format!("{:0<9}", &fraction[..fraction.len().min(9)]).parse().ok()?;
    // Before 1970 the fraction counts downwards.
    if text.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_length_is_refused() {
        for data in [&b"99 path=a\n"[..], b"x path=a\n", b"8 path=a\n", b"10 pathxa\n", b"0 \n", b"2 \n", b"\n"] {
            assert!(Extended::default().read_pax(data).is_err(), "{data:?}");
        }
        assert!(Extended::default().read_pax(b"10 path=a\n").is_ok());
    }

    #[test]
    fn times_may_be_fractions_and_before_1970() {
        assert_eq!(time(b"1.25"), Some((1, 250_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"3.0000000009"), Some((3, 0)));
        assert_eq!(time(b"1.x"), None);
    }
}
