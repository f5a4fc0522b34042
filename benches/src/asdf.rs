//! Benches of ASDF files, which the core writes once.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use tegula::ArraySubset;
use tegula::asdf::yaml::Document;
use tegula::asdf::{AsdfFile, Compression, FileOptions, OutBlock, write_file};

use crate::{Work, compare};

/// Blocks of a file with many blocks.
const BLOCKS: usize = 10_000;

/// Nodes of a file with a large tree.
const NODES: usize = 50_000;

/// Columns of an image of 32-bit floats.
const SIDE: u64 = 10_000;

/// Returns rows of detector counts: rounded noise.
fn image(rows: u64) -> Vec<u8> {
    let mut noise = 1u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as f32
    };
    (0..rows * SIDE).flat_map(|_| (100.0 + (next() + next() + next()) / 8.0).floor().to_le_bytes()).collect()
}

fn node(source: usize, shape: &str) -> String {
    format!("!core/ndarray-1.1.0 {{source: {source}, datatype: float32, byteorder: little, shape: [{shape}]}}")
}

fn write(path: &Path, tree: &str, label: &str, blocks: &[Vec<u8>]) -> tegula::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let head = "%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n";
    let document = Document::parse(format!("{head}{tree}...\n").as_bytes())?;
    let compression = (!label.is_empty()).then(|| Compression::new(label, &serde_json::Map::new())).transpose()?;
    let block = |bytes: &Vec<u8>| match &compression {
        Some(compression) => Ok(OutBlock::encoded(bytes.clone(), compression)),
        None => Ok(OutBlock::new(bytes.clone())),
    };
    write_file(path, &FileOptions::default(), Some(&document), blocks.iter().map(block))
}

/// The same work by `asdf-rs`.
#[cfg(feature = "peer")]
#[allow(clippy::unnecessary_wraps)] // without the peer these return `None`
mod peer {
    use std::hint::black_box;
    use std::path::Path;

    use crate::Work;

    pub(super) fn open(path: &Path, key: &'static str) -> Option<Work> {
        let path = path.to_owned();
        Some(Box::new(move || {
            let found = asdf::AsdfFile::open(&path).and_then(|file| {
                let tree = file.tree()?;
                Ok(tree.and_then(|tree| tree.get(key).and_then(|value| value.len())))
            });
            match black_box(found) {
                Ok(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }))
    }

    pub(super) fn block(path: &Path) -> Option<Work> {
        let path = path.to_owned();
        Some(Box::new(move || match asdf::AsdfFile::open(&path) {
            Ok(file) => match file.block_data(0) {
                Ok(bytes) => drop(black_box(bytes.into_owned())),
                Err(error) => panic!("{error}"),
            },
            Err(error) => panic!("{error}"),
        }))
    }
}

#[cfg(not(feature = "peer"))]
mod peer {
    use std::path::Path;

    use crate::Work;

    pub(super) fn open(_: &Path, _: &str) -> Option<Work> {
        None
    }

    pub(super) fn block(_: &Path) -> Option<Work> {
        None
    }
}

fn open(path: &Path, key: &'static str) -> Work {
    let path = path.to_owned();
    Box::new(move || match AsdfFile::open_path(&path).and_then(|file| file.find(key)) {
        Ok(found) => drop(black_box(found)),
        Err(error) => panic!("{error}"),
    })
}

fn read(path: &Path, part: Option<ArraySubset>) -> Work {
    let path: PathBuf = path.to_owned();
    Box::new(move || {
        let read = || {
            let array = AsdfFile::open_path(&path)?.array("image")?;
            array.retrieve_array_subset::<Vec<f32>>(&part.clone().unwrap_or_else(|| array.subset_all()))
        };
        match read() {
            Ok(elements) => drop(black_box(elements)),
            Err(error) => panic!("{error}"),
        }
    })
}

/// Prints a row for each bench.
pub(crate) fn run(folder: &Path) -> tegula::Result<()> {
    println!("\n| file | what | tegula ms | asdf-rs / tegula |\n|---|---|---|---|");
    let path = folder.join("blocks.asdf");
    let nodes = (0..BLOCKS).map(|number| format!("- {}\n", node(number, "100"))).collect::<Vec<_>>().concat();
    write(&path, &format!("arrays:\n{nodes}"), "", &vec![vec![1; 400]; BLOCKS])?;
    compare("10,000 blocks", "open", &open(&path, "arrays"), peer::open(&path, "arrays").as_ref());

    let path = folder.join("tree.asdf");
    let entry = |number| format!("- {{name: exposure, time: 1.5, gain: 3, flags: [1, 2, 3], number: {number}}}\n");
    write(&path, &format!("entries:\n{}", (0..NODES / 8).map(entry).collect::<Vec<_>>().concat()), "", &[])?;
    compare("a tree of 50,000 nodes", "open", &open(&path, "entries"), peer::open(&path, "entries").as_ref());

    let cutout = ArraySubset::new_with_start_shape(&[1000, 1000], &[30, 30])?;
    for (label, rows) in [("", SIDE), ("lz4", SIDE), ("zlib", SIDE / 5)] {
        let path = folder.join(format!("image-{label}.asdf"));
        if !path.exists() {
            write(&path, &format!("image: {}\n", node(0, &format!("{rows}, {SIDE}"))), label, &[image(rows)])?;
        }
        let name = format!("{} MB, {}", rows * SIDE * 4 / 1_000_000, if label.is_empty() { "plain" } else { label });
        compare(&name, "whole", &read(&path, None), peer::block(&path).as_ref());
        // The peer reads blocks whole.
        compare(&name, "cutout of 30 x 30", &read(&path, Some(cutout.clone())), peer::block(&path).as_ref());
    }
    Ok(())
}
