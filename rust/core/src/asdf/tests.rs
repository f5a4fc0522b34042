//! Whole files: round trips, truncation, wrong sizes and hostile headers.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::yaml::{Document, Scalar};
use super::*;
use crate::error::{ErrorKind, Result};
use crate::store::{Object, Stat};

/// A file in memory that counts requests and bytes read.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    requests: AtomicU64,
    read: AtomicU64,
}

impl Object for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.read.fetch_add(into.len() as u64, Ordering::Relaxed);
        into.copy_from_slice(&self.bytes[offset as usize..][..into.len()]);
        self.stat()
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(Stat { size: self.bytes.len() as u64, version: 0, settled: true }))
    }
}

fn open(bytes: &[u8]) -> Result<Layout> {
    Layout::read(Arc::new(File { bytes: bytes.to_vec(), ..File::default() }))
}

fn message(result: Result<impl Sized>) -> String {
    result.err().expect("an error").message().to_owned()
}

fn tree() -> Document {
    let mut document = Document::new();
    let root = document.root();
    document.set_tag(root, "tag:stsci.edu:asdf/core/asdf-1.1.0");
    let text = document.add_str("1e3");
    document.insert(root, "text", text);
    document
}

fn sample(blocks: &[&[u8]]) -> Vec<u8> {
    let blocks = blocks.iter().map(|bytes| Ok(OutBlock::new(*bytes)));
    write_bytes(&FileOptions::default(), Some(&tree()), blocks).unwrap()
}

fn data(layout: &Layout, number: i64) -> Result<Vec<u8>> {
    let header = layout.blocks.block(number)?;
    let mut bytes = Vec::new();
    layout.blocks.read(&header, &mut bytes)?;
    header.verify(&bytes, None)?;
    Ok(bytes)
}

/// Returns the file without its index.
fn without_index(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.windows(INDEX_MAGIC.len()).rposition(|window| window == INDEX_MAGIC).unwrap();
    bytes[..at].to_vec()
}

fn with_index(bytes: &[u8], index: &str) -> Vec<u8> {
    let mut file = without_index(bytes);
    file.extend_from_slice(format!("#ASDF BLOCK INDEX\n%YAML 1.1\n---\n{index}\n...\n").as_bytes());
    file
}

#[test]
fn written_files_read_back() {
    let options = FileOptions { comments: &["hello".to_owned()], ..FileOptions::default() };
    let blocks = [
        OutBlock::new(b"one".as_slice()),
        OutBlock::new(Cow::Owned(vec![7; 5 << 20])),
        OutBlock::pieces(|sink| {
            sink(b"pie")?;
            sink(b"ces")
        })
        .compressed(*b"zlib", 99),
        OutBlock::new(Vec::new()).checksum(false),
    ];
    let bytes = write_bytes(&options, Some(&tree()), blocks.into_iter().map(Ok)).unwrap();
    let layout = open(&bytes).unwrap();
    assert_eq!((layout.version.as_str(), layout.standard.as_deref()), ("1.0.0", Some(STANDARD)));
    assert_eq!(layout.comments, ["hello"]);
    let text = layout.document.find("text").unwrap();
    assert_eq!(layout.document.scalar(text).unwrap(), Scalar::Str("1e3"));
    assert_eq!(layout.blocks.len().unwrap(), 4);
    assert_eq!(data(&layout, 0).unwrap(), b"one");
    assert_eq!(data(&layout, 1).unwrap(), vec![7; 5 << 20]);
    assert_eq!(data(&layout, -2).unwrap(), b"pieces");
    assert_eq!(data(&layout, -1).unwrap(), b"");
    let header = layout.blocks.block(2).unwrap();
    assert_eq!((header.compression, header.data_size, header.used), (*b"zlib", 99, 6));
    assert!(layout.blocks.block(2).unwrap().has_checksum() && !layout.blocks.block(3).unwrap().has_checksum());
    assert!(message(layout.blocks.block(4)).contains("no block 4; the file has 4"));
    assert!(layout.blocks.block(-5).is_err() && layout.blocks.block(i64::MIN).is_err());
}

#[test]
fn files_are_replaced_atomically() {
    let folder = std::env::temp_dir().join(format!("tegula-test-write-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.asdf");
    let write =
        |blocks: Vec<Result<OutBlock<'static>>>| write_file(&path, &FileOptions::default(), Some(&tree()), blocks);
    write(vec![Ok(OutBlock::new(b"data".as_slice()))]).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(before, sample(&[b"data"]));
    let failing = vec![Ok(OutBlock::pieces(|_| Err(crate::Error::store("no more"))))];
    assert!(message(write(failing)).contains("block 0: no more"));
    assert!(write(vec![Ok(OutBlock::new(b"12".as_slice()).compressed([0; 4], 5))]).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn streamed_blocks_run_to_the_end() {
    let blocks = [OutBlock::new(b"one".as_slice()), OutBlock::new(b"stream".as_slice()).streamed()];
    let mut bytes = write_bytes(&FileOptions::default(), Some(&tree()), blocks.into_iter().map(Ok)).unwrap();
    bytes.extend_from_slice(b"ing");
    let layout = open(&bytes).unwrap();
    assert_eq!(layout.blocks.len().unwrap(), 2);
    assert!(layout.blocks.block(1).unwrap().streamed);
    assert_eq!(data(&layout, -1).unwrap(), b"streaming");
    let blocks = [OutBlock::new(b"stream".as_slice()).streamed(), OutBlock::new(b"late".as_slice())];
    assert!(write_bytes(&FileOptions::default(), None, blocks.into_iter().map(Ok)).is_err());
}

#[test]
fn files_without_tree_or_blocks() {
    let layout = open(b"#ASDF 1.0.0\n").unwrap();
    assert!(layout.tree.is_none() && layout.blocks.is_empty() && layout.standard.is_none());
    assert_eq!(layout.document.pairs(layout.document.root()).unwrap().len(), 0);
    assert_eq!(layout.blocks.len().unwrap(), 0);
    assert!(layout.blocks.block(0).is_err() && layout.blocks.block(-1).is_err());
    let layout = open(&sample(&[])).unwrap();
    assert!(layout.tree.is_some() && layout.blocks.is_empty());
    for block in [b"one".to_vec(), vec![0; 3 << 20]] {
        let bytes = write_bytes(&FileOptions::default(), None, [Ok(OutBlock::new(&block))]).unwrap();
        let layout = open(&with_index(&bytes, "- 12345")).unwrap();
        assert!(layout.tree.is_none());
        assert_eq!(data(&layout, 0).unwrap(), block);
    }
}

#[test]
fn line_ends_and_tree_ends() {
    let layout =
        open(b"#ASDF 1.0.0\r\n#ASDF_STANDARD 9.9.9\r\n# x\r\n%YAML 1.1\r\n--- \r\na: b\r\n...\r\n\0\0pad\xd3BLK")
            .unwrap();
    assert_eq!((layout.standard.as_deref(), layout.comments.as_slice()), (Some("9.9.9"), &[" x".to_owned()][..]));
    assert_eq!(layout.document.text(layout.document.find("a").unwrap()), Some("b"));
    assert!(!layout.blocks.is_empty());
    assert_eq!(message(layout.blocks.block(0)), "block 0: the file ends within the block's header");
    assert!(open(b"#ASDF 1.0.0\n%YAML 1.1\n--- {}\n...").is_ok());
    assert!(open(b"#ASDF 1.0.0\n%YAML 1.1\n--- {}\n... \n").is_err());
    let refused: [(&[u8], &str); 9] = [
        (b"", "not an ASDF file"),
        (b"#ASD", "not an ASDF file"),
        (b"PK\x03\x04", "not an ASDF file"),
        (b"#ASDF 1.1.0\n", "version \"1.1.0\""),
        (b"#ASDF 1.0.0\n\n%YAML 1.1\n--- {}\n...\n", "not followed by a comment"),
        (b"#ASDF 1.0.0\n--- {}\n...\n", "not followed by a comment"),
        (b"#ASDF 1.0.0\n%YAML 1.1\n--- {}\n", "does not end"),
        (b"#ASDF 1.0.0\n%YAML 1.1\n--- {}\n\xd3BLK\n...\n", "the tree: YAML, byte 18"),
        (b"#ASDF 1.0.0\n%YAML 1.1\n---\na: [\n...\n", "the tree: YAML, line 5, column 1"),
    ];
    for (bytes, expected) in refused {
        let error = message(open(bytes));
        assert!(error.contains(expected), "{error}");
    }
    let mut endless = b"#ASDF 1.0.0\n%YAML 1.1\n--- {}\n".to_vec();
    endless.resize(200_000, b' ');
    endless.extend_from_slice(&BLOCK_MAGIC);
    assert!(message(open(&endless)).contains("before the first block"));
    assert!(open(&[b"#ASDF 1.0.0\n".as_slice(), &vec![b'#'; 2 << 20]].concat()).is_err());
}

#[test]
fn ends_and_magics_across_pieces_are_found() {
    for shift in 0..16 {
        let mut bytes = b"#ASDF 1.0.0\n%YAML 1.1\n--- 'a".to_vec();
        bytes.resize((64 << 10) - shift, b'b');
        bytes.extend_from_slice(b"'\r\n...\r\n");
        let end = bytes.len() as u64;
        // A file of over 64 KiB is read in pieces; one of them ends at 64 KiB.
        bytes.resize((128 << 10) - shift, b' ');
        let first = bytes.len();
        bytes.extend_from_slice(&without_index(&sample(&[b"one"]))[sample(&[]).len()..]);
        let layout = open(&bytes).unwrap();
        assert_eq!(layout.tree.unwrap().end, end);
        assert_eq!(layout.blocks.block(0).unwrap().offset, first as u64);
    }
}

#[test]
fn truncations_do_not_panic() {
    let bytes = sample(&[b"one", b"second", &[7; 100]]);
    for end in 0..bytes.len() {
        let Ok(layout) = open(&bytes[..end]) else { continue };
        let _ = layout.blocks.len();
        for number in -4..4 {
            let _ = data(&layout, number);
        }
    }
}

#[test]
fn blocks_before_the_damage_can_be_read() {
    let bytes = without_index(&sample(&[b"one", b"second"]));
    let layout = open(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(data(&layout, 0).unwrap(), b"one");
    let error = layout.blocks.block(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptData);
    assert_eq!(error.message(), "block 1: the data are 6 bytes, but the file ends after 5");
}

#[test]
fn wrong_indexes_are_ignored() {
    let large = vec![1; 70_000];
    let blocks: [&[u8]; 3] = [&large, b"\xd3BLK second", b"third"];
    let bytes = sample(&blocks);
    let offsets: Vec<u64> = (0..3).map(|number| open(&bytes).unwrap().blocks.block(number).unwrap().offset).collect();
    let [a, b, c] = offsets[..] else { panic!("three blocks") };
    let inside = b + HEADER_LENGTH as u64;
    let indexes = [
        format!("- {a}\n- {b}\n- {c}"),
        format!("[{a}, {b}, {c}]"),
        format!("[{a}, {b}]"),
        format!("[{a}, {c}]"),
        format!("[{a}]"),
        format!("[{b}, {c}]"),
        format!("[{b}, {a}, {c}]"),
        format!("[{a}, {b}, {b}, {c}]"),
        format!("[{a}, {b}, {inside}, {c}]"),
        format!("[{a}, {b}, {c}, 18446744073709551615]"),
        format!("[{a}, {b}, {c}, 9223372036854775807]"),
        format!("[{a}, {b}, -1]"),
        "[]".to_owned(),
        "[text]".to_owned(),
        "{}".to_owned(),
        "[".repeat(5000),
    ];
    for index in indexes {
        for tail in ["", "\0\0\0\0"] {
            let mut file = with_index(&bytes, &index);
            file.extend_from_slice(tail.as_bytes());
            for order in [[0i64, 1, 2], [2, 1, 0], [-1, -2, -3]] {
                let layout = open(&file).unwrap();
                for number in order {
                    let expected = blocks[number.rem_euclid(3) as usize];
                    // An index that lacks a block in the middle is only noticed beside the gap, and when counting.
                    if index != format!("[{a}, {c}]") || order[0] >= 0 {
                        assert_eq!(data(&layout, number).unwrap(), expected, "{index} {number}");
                    }
                }
                assert!(index == format!("[{a}, {c}]") || layout.blocks.len().unwrap() == 3, "{index}");
            }
        }
    }
}

#[test]
fn hostile_headers_are_refused() {
    let bytes = without_index(&sample(&[b"one", b"second"]));
    let start = open(&bytes).unwrap().blocks.block(0).unwrap().offset as usize;
    let with = |at: usize, value: &[u8]| {
        let mut file = bytes.clone();
        file[start + at..][..value.len()].copy_from_slice(value);
        open(&file).unwrap()
    };
    let huge = u64::MAX.to_be_bytes();
    assert!(message(with(4, &[0, 40]).blocks.block(0)).contains("expected at least 48"));
    assert!(message(with(4, &[255, 255]).blocks.block(0)).contains("ends within"));
    assert!(message(with(22, &huge).blocks.block(0)).contains("allocated"));
    assert!(message(with(14, &[huge, huge].concat()).blocks.block(0)).contains("ends after"));
    let beyond = with(14, &huge);
    assert_eq!(data(&beyond, 0).unwrap(), b"one");
    assert_eq!(beyond.blocks.len().unwrap(), 1);
    assert!(message(with(6, &[0, 0, 0, 1, b'z']).blocks.block(0)).contains("streamed"));
    assert!(message(data(&with(38, &[1; 16]), 0)).contains("checksum"));
    assert_eq!(data(&with(38, &[0; 16]), 0).unwrap(), b"one");
    let stream = with(6, &[0, 0, 0, 1]);
    assert_eq!(stream.blocks.len().unwrap(), 1);
    assert!(message(data(&stream, 0)).contains("checksum"));
}

#[test]
fn checksums_of_stored_and_decoded_data_match() {
    let mut header = BlockHeader::parse(&sample(&[b"x"])[sample(&[]).len()..][..HEADER_LENGTH], 0, 1000).unwrap();
    header.compression = *b"zlib";
    header.checksum = md5(b"used");
    assert!(header.verify(b"used", None).is_ok() && header.verify(b"other", Some(b"decoded")).is_err());
    header.checksum = md5(b"decoded");
    assert!(header.verify(b"used", Some(b"decoded")).is_ok() && header.verify(b"used", None).is_err());
}

#[test]
fn larger_headers_are_read() {
    let bytes = sample(&[b"one"]);
    let start = open(&bytes).unwrap().blocks.block(0).unwrap().offset as usize;
    let mut file = without_index(&bytes);
    file[start + 5] = 64;
    file.splice(start + HEADER_LENGTH..start + HEADER_LENGTH, [9; 16]);
    assert_eq!(data(&open(&file).unwrap(), 0).unwrap(), b"one");
}

#[test]
fn few_bytes_are_read() {
    let blocks: Vec<Vec<u8>> = (0..20_000u32).map(|number| number.to_le_bytes().repeat(20)).collect();
    let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let indexed = sample(&slices);
    for (bytes, most, requests) in [(&indexed, 550_000, 12), (&without_index(&indexed), 3_400_000, 700)] {
        let file = Arc::new(File { bytes: bytes.clone(), ..File::default() });
        let layout = Layout::read(file.clone()).unwrap();
        assert_eq!(file.requests.load(Ordering::Relaxed), 1);
        assert_eq!(layout.blocks.block(12_345).unwrap().used, 80);
        assert_eq!(layout.blocks.len().unwrap(), 20_000);
        assert!(file.read.load(Ordering::Relaxed) < most, "{:?}", file.read);
        assert!(file.requests.load(Ordering::Relaxed) <= requests, "{:?}", file.requests);
    }
    let small = Arc::new(File { bytes: sample(&[b"one"]), ..File::default() });
    let layout = Layout::read(small.clone()).unwrap();
    layout.blocks.block(0).unwrap();
    assert_eq!(small.requests.load(Ordering::Relaxed), 1);
}
