//! Files that are not UTF-8 text, recognized by their first bytes.

/// First bytes of a kind of file, the kind, and how to turn such a file into text.
const KINDS: [(&[u8], &str, &str); 15] = [
    (
        b"PAR1",
        "a Parquet file",
        "save it as JSONL, such as with Python: pandas.read_parquet(…).to_json(…, orient=\"records\", lines=True)",
    ),
    (b"ARROW1", "an Arrow file", "save it as JSONL"),
    (b"Obj\x01", "an Avro file", "save it as JSONL"),
    (b"\x1f\x8b", "a file compressed by gzip", "unpack it with gunzip"),
    (b"PK\x03\x04", "a ZIP archive (as spreadsheets are)", "unpack it, or save the table as text"),
    (b"\x28\xb5\x2f\xfd", "a file compressed by zstd", "unpack it with unzstd"),
    (b"BZh", "a file compressed by bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "a file compressed by xz", "unpack it with unxz"),
    (b"SQLite format 3", "an SQLite database", "export its table as JSON"),
    (b"%PDF-", "a PDF file", "save its text"),
    (b"\x89HDF", "an HDF5 file", "save it as JSONL"),
    (b"\x93NUMPY", "a NumPy array", "save it as JSONL"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    (b"\x80\x04\x95", "a Python pickle", "save it as JSONL"),
];

/// Recognizes a file that is not UTF-8 text by its first bytes, and returns its kind and a hint; `None` for any
/// other file.
pub(crate) fn foreign_kind(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = KINDS.iter().find(|(magic, ..)| beginning.starts_with(magic));
    match known {
        Some(&(_, kind, hint)) => Some((kind, hint)),
        // Text of Latin letters in UTF-16, without a mark at its beginning, has a NUL at every other byte.
        None if matches!(beginning, [0, _, 0, _, ..] | [_, 0, _, 0, ..]) => {
            Some(("text in UTF-16", "save it as UTF-8"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_named_and_text_is_not() {
        let kind = |bytes: &[u8]| foreign_kind(bytes).map(|(kind, _)| kind);
        assert_eq!(kind(b"PAR1\x15\x04"), Some("a Parquet file"));
        assert_eq!(kind(b"\x1f\x8b\x08"), Some("a file compressed by gzip"));
        assert_eq!(kind(&[0xff, 0xfe, b'a', 0]), Some("text in UTF-16"));
        assert_eq!(kind(&[b'a', 0, b'b', 0]), Some("text in UTF-16"));
        for text in ["", "a", "Par1", "\u{feff}The door opened.", "{\"query\": 1}"] {
            assert_eq!(kind(text.as_bytes()), None);
        }
    }
}
