//! Netlink attributes as bytes: a length, a kind and a value each, nested where the value is attributes again.
//!
//! nftables needs a dozen kinds of them and no decoder knows them all, so they are written by hand. Numbers of nftables
//! are big-endian.

const HEADER_LEN: usize = 4;
/// Marks a value that is attributes again.
const NESTED: u16 = 1 << 15;
/// The kind without the marks for nesting and byte order.
const KIND_MASK: u16 = 0x3fff;

/// Attributes in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attrs(Vec<u8>);

impl Attrs {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // A rule of ours has some hundred bytes; a value that could not be described by its length never occurs.
        let len = u16::try_from(HEADER_LEN + value.len()).unwrap_or(u16::MAX);
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn text(self, kind: u16, text: &str) -> Self {
        self.bytes(kind, &[text.as_bytes(), &[0]].concat())
    }

    pub fn number(self, kind: u16, number: u32) -> Self {
        self.bytes(kind, &number.to_be_bytes())
    }

    pub fn nest(self, kind: u16, inner: Attrs) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Kind and value of each attribute, up to the first that is not well-formed.
pub fn each(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk::<HEADER_LEN>()?;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(HEADER_LEN..len)?;
        // The last one may lack its padding.
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & KIND_MASK, value))
    })
}

/// The value of the first attribute of a kind, if the bytes are well-formed up to there.
pub fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    each(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

pub fn as_number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*value.first_chunk()?))
}

/// A text without its end mark.
pub fn as_text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found() {
        let inner = Attrs::new().number(1, 7).text(2, "abcde");
        let bytes = Attrs::new().text(1, "x").nest(2, inner).number(3, u32::MAX).into_bytes();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(find(&bytes, 1).and_then(as_text), Some("x"));
        let inner = find(&bytes, 2).expect("the nested one");
        assert_eq!(find(inner, 1).and_then(as_number), Some(7));
        assert_eq!(find(inner, 2).and_then(as_text), Some("abcde"));
        assert_eq!(find(&bytes, 3).and_then(as_number), Some(u32::MAX));
        assert_eq!(find(&bytes, 4), None);
    }

    #[test]
    fn broken_bytes_hold_nothing() {
        for broken in [&[][..], &[1, 0, 0, 0], &[200, 0, 1, 0], &[0, 0, 2, 0, 9, 9, 9, 9], &[4]] {
            assert_eq!(find(broken, 1), None, "{broken:?}");
        }
    }
}
