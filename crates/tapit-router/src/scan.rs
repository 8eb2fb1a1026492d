//! Watches the raw header of a request for a pair of fields that the parser does not let us see together.
//!
//! A request with both Content-Length and Transfer-Encoding is how requests are smuggled past a proxy. The HTTP parser
//! drops the length before we see the header, so its lines are looked at here, as they come in. Only a header that starts
//! a read is watched; in a pipelined one the parser's own rule holds (chunked wins, the length is not passed on, the
//! connection is closed afterwards), which is safe, only less strict.

const LENGTH: &[u8] = b"content-length:";
const ENCODING: &[u8] = b"transfer-encoding:";

/// The state of one header that is being read.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// The beginning of the present line, in lower case.
    start: [u8; ENCODING.len()],
    length: usize,
    has_lines: bool,
    has_length: bool,
    has_encoding: bool,
    ended: bool,
}

impl HeadScan {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.ended {
                return;
            }
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                other => {
                    if let Some(place) = self.start.get_mut(self.length) {
                        *place = other.to_ascii_lowercase();
                    }
                    self.length = self.length.saturating_add(1);
                }
            }
        }
    }

    /// Both fields have been seen.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.has_length && self.has_encoding
    }

    fn end_line(&mut self) {
        // Empty lines before the request line are legal and mean nothing.
        self.ended = self.length == 0 && self.has_lines;
        self.has_lines |= self.length > 0;
        let start = &self.start[..self.length.min(self.start.len())];
        self.has_length |= start.starts_with(LENGTH);
        self.has_encoding |= start.starts_with(ENCODING);
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambiguous(pieces: &[&str]) -> bool {
        let mut scan = HeadScan::default();
        for piece in pieces {
            scan.feed(piece.as_bytes());
        }
        scan.is_ambiguous()
    }

    #[test]
    fn both_fields_in_either_order_and_case_are_seen() {
        assert!(ambiguous(&["POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\nTransfer-Encoding: chunked\r\n\r\n"]));
        assert!(ambiguous(&["\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"]));
    }

    #[test]
    fn fields_split_over_reads_are_seen() {
        assert!(ambiguous(&["POST / HTTP/1.1\r\nConte", "nt-Length: 3\r", "\nTransfer-Encoding", ": chunked\r\n\r\n"]));
    }

    #[test]
    fn one_of_them_alone_or_in_the_body_is_no_matter() {
        assert!(!ambiguous(&["POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nTransfer-Encoding: chunked\r\n\r\n"]));
        assert!(!ambiguous(&["GET /?transfer-encoding:&content-length: HTTP/1.1\r\nX-Content-Length: 1\r\n\r\n"]));
    }
}
