use super::*;
use crate::ErrorKind;
use crate::store::{MemoryStore, WritableStore, get};

/// An entry to write.
#[derive(Clone, Default)]
struct New<'a> {
    name: &'a [u8],
    bytes: &'a [u8],
    compressed: Option<Vec<u8>>,
    method: u16,
    flags: u16,
    extra: &'a [u8],
    /// Its header is that of an earlier entry.
    at: Option<usize>,
}

fn entry<'a>(name: &'a str, bytes: &'a [u8]) -> New<'a> {
    New { name: name.as_bytes(), bytes, ..New::default() }
}

fn deflated<'a>(name: &'a str, bytes: &'a [u8]) -> New<'a> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut compressed = vec![0; compressor.deflate_compress_bound(bytes.len())];
    let size = compressor.deflate_compress(bytes, &mut compressed).unwrap();
    compressed.truncate(size);
    New { compressed: Some(compressed), method: 8, ..entry(name, bytes) }
}

fn archive(entries: &[New], comment: &[u8]) -> Vec<u8> {
    let (mut bytes, mut directory, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for new in entries {
        let stored = new.compressed.as_deref().unwrap_or(new.bytes);
        let mut header = Vec::new();
        for word in [20, new.flags, new.method, 0, 0] {
            header.extend(u16::to_le_bytes(word));
        }
        for word in [method::crc32(new.bytes), stored.len() as u32, new.bytes.len() as u32] {
            header.extend(word.to_le_bytes());
        }
        header.extend((new.name.len() as u16).to_le_bytes());
        headers.push(bytes.len());
        let at = new.at.map_or(bytes.len(), |at| headers[at]);
        if new.at.is_none() {
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&header);
            bytes.extend([0, 0]);
            bytes.extend(new.name);
            bytes.extend(stored);
        }
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        directory.extend((new.extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend((at as u32).to_le_bytes());
        directory.extend(new.name);
        directory.extend(new.extra);
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([entries.len() as u16; 2].map(u16::to_le_bytes).concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend((comment.len() as u16).to_le_bytes());
    bytes.extend(comment);
    bytes
}

fn open(bytes: &[u8]) -> Result<ZipStore> {
    let memory = Arc::new(MemoryStore::new());
    memory.set("x.zip", bytes)?;
    ZipStore::new(memory, "x.zip")
}

fn read(store: &ZipStore, key: &str) -> Result<Option<Vec<u8>>> {
    get(store, key, 1 << 20)
}

#[test]
fn entries_are_read_whole_and_in_part() {
    let text = b"some text that repeats, text that repeats, text that repeats".as_slice();
    let entries = [entry("a/stored", text), deflated("a/b/deflated", text), entry("a/b/", b""), entry("empty", b"")];
    let zip = archive(&entries, b"a comment, PK\x05\x06 and all");
    for bytes in [zip.clone(), [b"#!/bin/sh before".as_slice(), &zip].concat(), [&zip, b"behind".as_slice()].concat()] {
        let store = open(&bytes).unwrap();
        for key in ["a/stored", "a/b/deflated"] {
            assert_eq!(read(&store, key).unwrap().unwrap(), text);
            let object = store.open(key).unwrap();
            let mut part = Vec::from(b"before ".as_slice());
            object.read(ByteRange::Range { offset: 5, length: 4 }, 0, &mut part).unwrap().unwrap();
            object.read(ByteRange::Suffix(7), 0, &mut part).unwrap().unwrap();
            assert_eq!(part, b"before textrepeats");
            assert_eq!(object.stat().unwrap().unwrap().size, text.len() as u64);
            assert!(object.read_at(60, &mut [0]).is_err());
            assert_eq!(object.read(ByteRange::All, 59, &mut part).unwrap_err().kind(), ErrorKind::CorruptData);
        }
        assert_eq!(read(&store, "empty").unwrap().unwrap(), b"");
        assert_eq!(read(&store, "a/b").unwrap(), None);
        let listing = |prefix| store.list_dir(prefix).unwrap();
        assert_eq!(listing(""), Listing { keys: vec!["empty".into()], prefixes: vec!["a".into()] });
        assert_eq!(listing("a"), Listing { keys: vec!["stored".into()], prefixes: vec!["b".into()] });
        assert_eq!(listing("a/b"), Listing { keys: vec!["deflated".into()], prefixes: vec![] });
        assert_eq!((listing("c"), listing("a/stored")), (Listing::default(), Listing::default()));
        assert_eq!(store.display("a/b"), "memory:/x.zip/a/b");
    }
    assert_eq!(open(&archive(&[], b"")).unwrap().list_dir("").unwrap(), Listing::default());
}

#[test]
fn names_that_are_not_keys_are_skipped() {
    let mut entries: Vec<_> =
        ["../a", "/a", "a\\b", "a//b", "./a", "a/../b", "", "a\0b", "ok"].map(|name| entry(name, b"x")).into();
    entries.push(New { name: b"\xff\xff", flags: 1 << 11, ..entry("", b"x") });
    entries.push(New { name: b"caf\x82", ..entry("", b"x") });
    entries.push(New { name: "süd".as_bytes(), flags: 1 << 11, ..entry("", b"x") });
    let extra = [b"\x75\x70\x09\x00\x01".as_slice(), &method::crc32(b"n\x94rd").to_le_bytes(), "nö".as_bytes(), b"d"];
    let extra = extra.concat();
    entries.push(New { name: b"n\x94rd", extra: &extra, ..entry("", b"x") });
    let store = open(&archive(&entries, b"")).unwrap();
    assert_eq!(store.list_dir("").unwrap().keys, ["café", "nöd", "ok", "süd"]);
    for key in ["café", "nöd", "ok", "süd"] {
        assert_eq!(read(&store, key).unwrap().unwrap(), b"x");
    }
    assert_eq!(read(&store, "../a").unwrap(), None);
}

#[test]
fn the_last_entry_of_a_name_counts() {
    let store = open(&archive(&[entry("a", b"one"), entry("b", b""), entry("a", b"two")], b"")).unwrap();
    assert_eq!(read(&store, "a").unwrap().unwrap(), b"two");
    assert_eq!(store.list_dir("").unwrap().keys, ["a", "b"]);
}

#[test]
fn entries_that_cannot_be_read_are_errors() {
    let zeros = [0; 5000];
    let large = deflated("a", &zeros);
    let short = New { compressed: large.compressed.clone().map(|mut bytes| bytes.split_off(2)), ..large.clone() };
    for (new, kind, message) in [
        (New { flags: 1, ..entry("a", b"x") }, ErrorKind::Unsupported, "encrypted"),
        (New { method: 95, ..entry("a", b"x") }, ErrorKind::Unsupported, "method 95 (xz)"),
        (New { method: 14, ..entry("a", b"x") }, ErrorKind::CorruptData, "lzma: no properties"),
        (New { method: 77, ..entry("a", b"x") }, ErrorKind::Unsupported, "method 77 (unknown)"),
        (New { compressed: Some(vec![1, 2]), ..entry("a", b"x") }, ErrorKind::CorruptData, "cannot hold 1"),
        (New { bytes: &zeros[..10], ..large.clone() }, ErrorKind::CorruptData, "more than 10 bytes"),
        (New { bytes: &[0; 5001], ..large.clone() }, ErrorKind::CorruptData, "5000 bytes, not 5001"),
        (New { bytes: &[1; 5000], ..large.clone() }, ErrorKind::CorruptData, "CRC-32"),
        (short, ErrorKind::CorruptData, "deflate: damaged"),
        (New { compressed: Some(vec![0; 4]), ..large.clone() }, ErrorKind::CorruptData, "cannot hold 5000"),
        (New { at: Some(0), ..entry("a", b"before") }, ErrorKind::CorruptData, "another zip entry begins"),
    ] {
        let store = open(&archive(&[entry("0", b"before"), new], b"")).unwrap();
        let error = read(&store, "a").unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(message), "{error}");
        assert!(store.open("a").unwrap().read_at(0, &mut [0]).is_err() || message == "CRC-32");
    }
    let memory = MemoryStore::new();
    assert_eq!(ZipStore::new(Arc::new(memory), "x").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(open(b"no zip at all, and not short").unwrap_err().kind(), ErrorKind::InvalidMetadata);
    assert_eq!(open(b"").unwrap_err().kind(), ErrorKind::InvalidMetadata);
}

const LZMA: &[u8] = b"\x09\x04\x05\x00\x5d\x00\x00\x80\x00\x00\x39\x9b\xc9\xf2\xe7\x50\xb8\xc5\xe2\x5d\
    \xa5\xd4\xfb\x90\xd7\x44\x4d\x47\x0a\x0c\xcd\x5d\x60\x54\xff\x6c\x3c\x1c";

#[test]
fn other_methods_are_decompressed() {
    let text = b"some text that repeats, text that repeats".repeat(9);
    let mut bzip2 = bzip2::read::BzEncoder::new(&*text, bzip2::Compression::best());
    let mut compressed = Vec::new();
    std::io::Read::read_to_end(&mut bzip2, &mut compressed).unwrap();
    let mut zstd = vec![0; 1000];
    let size = zstd_safe::compress(&mut zstd[..], &text, 3).unwrap();
    zstd.truncate(size);
    // As Python's zipfile writes it, and without the end marker.
    let ends = [&b"\x0b\x7d\x1b\x21\xfe\x7f\xfd\x99\xec\x40"[..], b"\x0b\x78\xb1\x40\x00"];
    let lzma = ends.map(|end| [LZMA, end].concat());
    for (method, bytes) in [(12, compressed), (93, zstd)].into_iter().chain(lzma.map(|bytes| (14, bytes))) {
        let new = New { method, compressed: Some(bytes.clone()), ..entry("a", &text) };
        assert_eq!(read(&open(&archive(&[new], b"")).unwrap(), "a").unwrap().unwrap(), text);
        for length in 0..bytes.len() {
            let new = New { method, compressed: Some(bytes[..length].into()), ..entry("a", &text) };
            assert!(read(&open(&archive(&[new], b"")).unwrap(), "a").is_err());
        }
        for size_of in [&text[1..], &[&*text, b"x"].concat()] {
            let new = New { method, compressed: Some(bytes.clone()), ..entry("a", size_of) };
            assert!(read(&open(&archive(&[new], b"")).unwrap(), "a").is_err());
        }
    }
}

#[test]
fn damaged_archives_give_errors_or_the_stored_bytes() {
    let text = b"text that repeats, text that repeats".as_slice();
    let whole = archive(&[entry("a", text), deflated("b", text)], b"comment");
    let check = |bytes: &[u8]| {
        let Ok(store) = open(bytes) else { return };
        for key in ["a", "b"] {
            if let Ok(Some(found)) = read(&store, key) {
                assert_eq!(found, text);
            }
            let mut part = [0; 3];
            let _ = store.open(key).map(|object| object.read_at(2, &mut part));
        }
        store.list_dir("").unwrap();
    };
    for length in 0..whole.len() {
        check(&whole[..length]);
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[length] ^= 1 << bit;
            check(&damaged);
        }
    }
}

#[test]
fn a_changed_archive_is_read_again() {
    let memory = Arc::new(MemoryStore::new());
    memory.set("x.zip", &archive(&[entry("a", b"one")], b"")).unwrap();
    let store = ZipStore::new(memory.clone(), "x.zip").unwrap();
    let version = |key| store.open(key).unwrap().stat().unwrap().map(|stat| stat.version);
    let first = version("a");
    memory.set("x.zip", &archive(&[entry("b", b""), entry("a", b"two")], b"")).unwrap();
    assert_eq!(read(&store, "a").unwrap().unwrap(), b"two");
    assert_ne!(version("a"), first);
    memory.erase("x.zip").unwrap();
    assert_eq!(store.open("a").err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!((&store as &dyn Store).set("a", b"").unwrap_err().kind(), ErrorKind::Unsupported);
}
