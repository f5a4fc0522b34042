//! Times the core and, with `--features peer`, the crates `zarrs` and `asdf-rs`, in alternating rounds.
//!
//! ```text
//! cargo run --release -p tegula-benches [--features peer] [-- FOLDER]
//! ```
//!
//! The first run writes arrays of 64 MiB and ASDF files of up to 400 MB to the folder, by default a temporary one. Each row
//! has our median of seven rounds in milliseconds, and the ratio of the peer's median to ours: above 1, we are faster.

mod asdf;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tegula::metadata::ArrayMetadata;
use tegula::store::FilesystemStore;
use tegula::{Array, ArraySubset};

const SHAPE: [u64; 3] = [256, 256, 512];
const ROUNDS: usize = 7;

fn named(name: &str, configuration: &Value) -> Value {
    json!({"name": name, "configuration": configuration})
}

fn arrays() -> Vec<(&'static str, [u64; 3], Value)> {
    let little = named("bytes", &json!({"endian": "little"}));
    let zstd = named("zstd", &json!({"level": 1, "checksum": false}));
    let shards = |inner: Value| {
        let index = json!([little, named("crc32c", &json!({}))]);
        json!([named(
            "sharding_indexed",
            &json!({"chunk_shape": [32, 32, 32], "codecs": inner, "index_codecs": index})
        )])
    };
    vec![
        ("plain, chunks of 64^3", [64; 3], json!([little])),
        ("plain, chunks of 16^3", [16; 3], json!([little])),
        ("big-endian", [64; 3], json!([named("bytes", &json!({"endian": "big"}))])),
        ("transposed", [64; 3], json!([named("transpose", &json!({"order": [2, 1, 0]})), little])),
        ("crc32c", [64; 3], json!([little, named("crc32c", &json!({}))])),
        ("zstd", [64; 3], json!([little, zstd])),
        ("gzip", [64; 3], json!([little, named("gzip", &json!({"level": 5}))])),
        (
            "blosc lz4",
            [64; 3],
            json!([
                little,
                named(
                    "blosc",
                    &json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2, "blocksize": 0})
                )
            ]),
        ),
        ("sharded, plain", [128; 3], shards(json!([little]))),
        ("sharded, zstd", [128; 3], shards(json!([little, zstd]))),
    ]
}

fn elements() -> Vec<u16> {
    let mut noise = 1u32;
    let total: u64 = SHAPE.iter().product();
    (0..total)
        .map(|i| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = ((i % 512) as f32 * 0.03).sin() + ((i / 512 % 256) as f32 * 0.05).cos();
            (400.0 + 100.0 * wave) as u16 + (noise >> 28) as u16
        })
        .collect()
}

fn create(folder: &Path, chunks: [u64; 3], codecs: &Value, elements: &Vec<u16>) -> tegula::Result<()> {
    if folder.join("zarr.json").exists() {
        return Ok(());
    }
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": SHAPE, "data_type": "uint16", "fill_value": 0,
        "chunk_grid": named("regular", &json!({"chunk_shape": chunks})), "chunk_key_encoding": named("default", &json!({"separator": "/"})),
        "codecs": codecs, "attributes": {}});
    let array = Array::create(Arc::new(FilesystemStore::new(folder)), "/", ArrayMetadata::from_v3(document)?)?;
    array.store_array_subset(&array.subset_all(), elements)
}

/// Returns the regions that a round of each workload reads.
fn workloads() -> Vec<(&'static str, Vec<ArraySubset>)> {
    let mut seed = 7u64;
    let mut below = |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    let mut windows = |shape: [u64; 3], count: usize| -> Vec<ArraySubset> {
        (0..count)
            .filter_map(|_| {
                let start: Vec<u64> =
                    SHAPE.iter().zip(shape).map(|(length, window)| below(length - window + 1)).collect();
                ArraySubset::new_with_start_shape(&start, &shape).ok()
            })
            .collect()
    };
    vec![
        ("whole", vec![ArraySubset::new_with_shape(&SHAPE)]),
        ("windows 8x32x32", windows([8, 32, 32], 20)),
        ("column", windows([256, 1, 1], 20)),
    ]
}

trait Peer {
    fn read(&self, region: &ArraySubset);
}

impl Peer for Array {
    fn read(&self, region: &ArraySubset) {
        match self.retrieve_array_subset::<Vec<u16>>(region) {
            Ok(elements) => drop(black_box(elements)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(feature = "peer")]
mod peer {
    use std::path::Path;
    use std::sync::Arc;

    pub(crate) struct Zarrs(zarrs::array::Array<zarrs::filesystem::FilesystemStore>);

    pub(crate) fn open(folder: &Path) -> Option<Zarrs> {
        let store = Arc::new(zarrs::filesystem::FilesystemStore::new(folder).ok()?);
        zarrs::array::Array::open(store, "/").ok().map(Zarrs)
    }

    impl super::Peer for Zarrs {
        fn read(&self, region: &tegula::ArraySubset) {
            let subset = zarrs::array::ArraySubset::new_with_ranges(&region.to_ranges());
            match self.0.retrieve_array_subset::<Vec<u16>>(&subset) {
                Ok(elements) => drop(std::hint::black_box(elements)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A function to time.
type Work = Box<dyn Fn()>;

/// Returns work that reads regions one after the other.
fn reads(peer: impl Peer + 'static, regions: &[ArraySubset]) -> Work {
    let regions = regions.to_vec();
    Box::new(move || regions.iter().for_each(|region| peer.read(region)))
}

fn time(work: &Work) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Times both in alternating rounds, and prints a row.
fn compare(name: &str, what: &str, ours: &Work, theirs: Option<&Work>) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        times.0.push(time(ours));
        times.1.extend(theirs.map(time));
    }
    let own = median(times.0);
    let ratio = if times.1.is_empty() { "-".to_owned() } else { format!("{:.2}", median(times.1) / own) };
    println!("| {name} | {what} | {own:.2} | {ratio} |");
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> tegula::Result<()> {
    let own = std::env::temp_dir().join("tegula-benches");
    let folder = std::env::args().nth(1).map_or(own, PathBuf::from);
    let elements = elements();
    println!("| array | read | tegula ms | zarrs / tegula |\n|---|---|---|---|");
    for (number, (name, chunks, codecs)) in arrays().into_iter().enumerate() {
        let path = folder.join(number.to_string());
        create(&path, chunks, &codecs, &elements)?;
        for (what, regions) in workloads() {
            let ours = reads(Array::open(Arc::new(FilesystemStore::new(&path)), "/")?, &regions);
            #[cfg(feature = "peer")]
            let theirs = peer::open(&path).map(|array| reads(array, &regions));
            #[cfg(not(feature = "peer"))]
            let theirs = None;
            compare(name, what, &ours, theirs.as_ref());
        }
    }
    asdf::run(&folder)
}
