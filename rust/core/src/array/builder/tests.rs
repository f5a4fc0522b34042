use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::fill_value::FillValue;
use crate::metadata::Attributes;
use crate::store::MemoryStore;
use crate::subset::Dims;

fn codecs(builder: &ArrayBuilder) -> Vec<String> {
    let metadata = builder.build().unwrap();
    let shown = |codec: &Named| format!("{} {}", codec.name, json!(codec.configuration));
    metadata.codecs.iter().map(shown).collect()
}

/// Returns the shapes of chunks and of shards.
fn shapes(builder: &ArrayBuilder) -> (Vec<u64>, Option<Vec<u64>>) {
    let array = builder.create(Arc::new(MemoryStore::new()), "").unwrap();
    let outer = array.chunk_grid().regular_shape().unwrap().to_vec();
    match array.inner_chunk_shape() {
        Some(inner) => (inner.to_vec(), Some(outer)),
        None => (outer, None),
    }
}

#[test]
fn chunks_are_automatic() {
    for (shape, shards, expected) in [
        (&[4, 6][..], None, &[4, 6][..]),
        (&[0, 6], None, &[1, 6]),
        (&[], None, &[]),
        (&[10_000], None, &[10_000]),
        (&[4096, 4096], None, &[256, 512]),
        (&[4096, 4096], Some([2048, 2048]), &[256, 512]),
        (&[19_683, 19_683], Some([2187, 2187]), &[243, 243]),
        // A prime length can only be divided into single elements.
        (&[262_147, 1], Some([262_147, 1]), &[1, 1]),
        (&[u64::MAX, 1], None, &[1 << 17, 1]),
    ] {
        let mut builder = ArrayBuilder::new(shape, "float64");
        builder.without_shards();
        if let Some(shards) = shards {
            builder.shards(shards);
        }
        assert_eq!(shapes(&builder), (expected.to_vec(), shards.map(Vec::from)), "{shape:?}");
    }
}

#[test]
fn shards_are_automatic_for_very_many_chunks() {
    let mut builder = ArrayBuilder::new([1 << 20, 1 << 14], "float32");
    let (chunks, shards) = shapes(&builder);
    assert_eq!((&chunks[..], shards), (&[512, 512][..], Some(vec![32_768, 512])));
    assert_eq!(shapes(builder.clone().zarr_format(2)), (chunks.clone(), None));
    assert_eq!(shapes(builder.clone().without_shards()), (chunks.clone(), None));
    assert_eq!(
        shapes(builder.clone().codecs([json!({"name": "bytes", "configuration": {"endian": "big"}})])),
        (chunks, None)
    );
    assert_eq!(shapes(builder.chunks([16, 16])), (vec![16, 16], None));
}

#[test]
fn codecs_have_shorthands() {
    for (text, expected) in [
        ("none", ""),
        ("zstd", r#"zstd {"level":3,"checksum":false}"#),
        ("zstd:-5", r#"zstd {"level":-5,"checksum":false}"#),
        ("gzip:6", r#"gzip {"level":6}"#),
        ("zlib", r#"numcodecs.zlib {"level":5}"#),
        ("lzma:2", r#"numcodecs.lzma {"preset":2}"#),
        ("lz4", r#"numcodecs.lz4 {"acceleration":1}"#),
        ("crc32c", "crc32c {}"),
        ("blosc", r#"blosc {"cname":"zstd","clevel":5,"shuffle":"shuffle","typesize":4,"blocksize":0}"#),
        (
            "blosc:lz4:1:bitshuffle",
            r#"blosc {"cname":"lz4","clevel":1,"shuffle":"bitshuffle","typesize":4,"blocksize":0}"#,
        ),
    ] {
        let found = codecs(ArrayBuilder::new([4], "int32").compressors([text]));
        assert_eq!(found[0], r#"bytes {"endian":"little"}"#);
        assert_eq!(found[1..].concat(), expected);
    }
    for wrong in ["zip", "zstd:high", "zstd:1:2", "blosc:zstd:1:shuffle:8", "gzip:", "", "crc32c:1"] {
        let error = ArrayBuilder::new([4], "int32").compressors([wrong]).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{wrong}");
        assert!(error.message().starts_with("compressors: "), "{error}");
    }
}

#[test]
fn codecs_are_json_or_configurations_of_numcodecs() {
    let mut builder = ArrayBuilder::new([4, 6], "int16");
    builder.filters([json!({"id": "delta", "dtype": "<i2"})]);
    builder.compressors([json!({"id": "blosc", "shuffle": -1}), json!({"name": "crc32c"}), json!({"id": "gzip"})]);
    let blosc = r#"blosc {"shuffle":"shuffle","cname":"lz4","clevel":5,"blocksize":0,"typesize":2}"#;
    let little = r#"bytes {"endian":"little"}"#;
    let delta = r#"numcodecs.delta {"dtype":"<i2"}"#;
    assert_eq!(codecs(&builder), [delta, little, blosc, "crc32c {}", r#"gzip {"level":1}"#]);
    let big = json!({"name": "bytes", "configuration": {"endian": "big"}});
    assert_eq!(
        codecs(builder.clone().filters::<Value>([]).serializer(big.clone()).compressors(["none"])),
        [r#"bytes {"endian":"big"}"#]
    );
    let transpose = r#"transpose {"order":[1,0]}"#;
    assert_eq!(codecs(builder.clone().order(Order::F))[..2], [transpose, delta]);
    assert_eq!(codecs(builder.codecs([big, json!({"id": "crc32c"})])), [r#"bytes {"endian":"big"}"#, "crc32c {}"]);
    let document = builder.order(Order::F).zarr_format(2).build().unwrap().document;
    assert_eq!((&document["order"], &document["compressor"]), (&json!("F"), &json!({"id": "crc32c"})));
}

#[test]
fn fill_values_are_converted_and_checked() {
    let of = |fill: NewFillValue, name: &str| {
        ArrayBuilder::new([4], name).fill_value(fill).build().map(|made| made.fill_value)
    };
    for (fill, name, bytes) in [
        (7i32.into(), "int32", 7i32.to_ne_bytes().to_vec()),
        (7i32.into(), "float64", 7f64.to_ne_bytes().to_vec()),
        (f32::NAN.into(), "float64", f64::NAN.to_ne_bytes().to_vec()),
        ("NaN".into(), "float32", f32::NAN.to_ne_bytes().to_vec()),
        ("n/a".into(), "string", b"n/a".to_vec()),
        (json!(3).into(), "uint8", vec![3]),
        (true.into(), "bool", vec![1]),
        (FillValue::new([1, 2]).into(), "uint16", vec![1, 2]),
    ] {
        assert_eq!(of(fill, name).unwrap().bytes(), bytes, "{name}");
    }
    for (fill, name) in [
        ((-1i32).into(), "uint8"),
        (0.5f32.into(), "int8"),
        (FillValue::new([1]).into(), "int16"),
        ("x".into(), "int8"),
    ] {
        let error = of(fill, name).unwrap_err();
        assert!(error.message().starts_with("fill_value: "), "{error}");
    }
}

#[test]
fn everything_is_written() {
    let mut builder = ArrayBuilder::new([4, 6], "uint8");
    builder.chunks(vec![vec![1, 3], vec![6]]).dimension_names([Some("y"), None]).attributes(json!({"unit": "s"}));
    let suffix = ChunkKeyEncoding::DefaultSuffix { separator: '.', suffix: ".bin".into() };
    let array = builder.chunk_key_encoding(suffix).create(Arc::new(MemoryStore::new()), "/a").unwrap();
    assert_eq!((array.path(), &array.chunk_grid_shape()), ("a", &Dims::from_slice(&[2, 1])));
    assert_eq!(array.chunk_key(&[1, 0]).unwrap(), "a/c.1.0.bin");
    assert_eq!(array.attributes()["unit"], "s");
    assert_eq!(array.metadata().dimension_names, Some(vec![Some("y".into()), None]));
    let reopened = Array::open(array.store().clone(), "a").unwrap();
    assert_eq!(reopened.metadata().document, array.metadata().document);
    // A builder of the same array returns the same metadata; only the attributes are changed.
    let mut again = array.builder();
    assert_eq!(again.build().unwrap().document, array.metadata().document);
    assert_eq!(again.attributes(Attributes::new()).build().unwrap().codecs, array.metadata().codecs);
    let v2 = ArrayBuilder::new([4, 6], "uint8")
        .zarr_format(2)
        .chunk_key_encoding(ChunkKeyEncoding::V2 { separator: '/' })
        .build();
    assert_eq!(v2.unwrap().document["dimension_separator"], "/");
}

#[test]
fn errors_name_the_property() {
    let new = || ArrayBuilder::new([8, 8], "int32");
    let v2 = || new().zarr_format(2).clone();
    let default = ChunkKeyEncoding::Default { separator: '/' };
    for (field, builder, kind) in [
        ("data_type", &mut ArrayBuilder::new([8], "int33"), ErrorKind::Unsupported),
        ("zarr_format", new().zarr_format(4), ErrorKind::Unsupported),
        ("chunks", new().chunks([4]), ErrorKind::InvalidMetadata),
        ("chunks", new().chunks([0, 4]), ErrorKind::InvalidMetadata),
        ("chunks", new().chunks(vec![vec![4, 4], vec![4]]), ErrorKind::InvalidMetadata),
        ("chunks", new().chunks(vec![vec![3, 5], vec![8]]).shards([8, 8]), ErrorKind::Unsupported),
        ("shards", new().shards([4]), ErrorKind::InvalidMetadata),
        ("codecs", new().chunks([3, 3]).shards([4, 4]), ErrorKind::InvalidMetadata),
        ("filters", new().filters([json!({"level": 1})]), ErrorKind::InvalidMetadata),
        ("serializer", new().serializer("zip"), ErrorKind::InvalidMetadata),
        ("codecs", new().compressors([json!({"name": "nobody.knows"})]), ErrorKind::Unsupported),
        ("attributes", new().attributes(json!([])), ErrorKind::InvalidMetadata),
        ("dimension_names", new().dimension_names(["y"]), ErrorKind::InvalidMetadata),
        ("shards", v2().shards([8, 8]), ErrorKind::Unsupported),
        ("dimension_names", v2().dimension_names(["y", "x"]), ErrorKind::Unsupported),
        ("chunk_key_encoding", v2().chunk_key_encoding(default), ErrorKind::Unsupported),
        ("chunks", v2().chunks(vec![vec![3, 5], vec![8]]), ErrorKind::Unsupported),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with(field), "{field}: {error}");
    }
}

#[test]
fn zarr_v2_has_all_codecs_of_numcodecs_and_no_others() {
    let int32 = || ArrayBuilder::new([4, 6], "int32").zarr_format(2).clone();
    let transpose = |order: [u8; 2]| json!({"name": "transpose", "configuration": {"order": order}});
    for (builder, filters, compressor, order) in [
        (int32().compressors(["lzma:2"]), json!(null), json!({"id": "lzma", "preset": 2}), "C"),
        (int32().compressors(["zstd"]), json!(null), json!({"id": "zstd", "level": 3}), "C"),
        (
            int32().compressors(["crc32c", "blosc:lz4:1:bitshuffle"]),
            json!([{"id": "crc32c"}]),
            json!({"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 2, "blocksize": 0}),
            "C",
        ),
        (
            int32().filters([transpose([1, 0]), json!({"id": "delta", "dtype": "<i4"})]),
            json!([{"id": "delta", "dtype": "<i4"}]),
            json!({"id": "zstd", "level": 3}),
            "F",
        ),
        (int32().filters([transpose([0, 1])]).compressors(["none"]), json!(null), json!(null), "C"),
    ] {
        let document = builder.build().unwrap().document;
        assert_eq!((&document["filters"], &document["compressor"]), (&filters, &compressor));
        assert_eq!(document["order"], order);
    }
    let strings = ArrayBuilder::new([4], "string").zarr_format(2).build().unwrap().document;
    assert_eq!(strings["filters"], json!([{"id": "vlen-utf8"}]));
    let scale = json!({"name": "scale_offset", "configuration": {"offset": 2, "scale": 4}});
    for filter in [scale, json!("packbits"), json!({"name": "reshape", "configuration": {"shape": [24]}})] {
        let error = int32().filters([filter.clone()]).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{filter}: {error}");
        assert!(error.message().contains("Zarr V2 cannot express"), "{error}");
    }
}

#[test]
fn builders_of_sharded_arrays_keep_the_codecs() {
    let mut builder = ArrayBuilder::new([8, 8], "int32");
    builder.chunks([2, 2]).shards([4, 4]).order(Order::F).compressors(["zstd", "crc32c"]).dimension_names(["y", "x"]);
    let array = builder.create(Arc::new(MemoryStore::new()), "").unwrap();
    let mut copy = array.builder();
    assert_eq!(copy.fill_value(1i32).build().unwrap().codecs, array.metadata().codecs);
    let v2 = copy.without_dimension_names().zarr_format(2).build().unwrap();
    assert_eq!(v2.chunk_grid.regular_shape().as_deref(), Some(&[2, 2][..]));
    let document = v2.document;
    assert_eq!((&document["order"], &document["filters"]), (&json!("F"), &json!([{"id": "zstd", "level": 3}])));
    assert_eq!(document["compressor"], json!({"id": "crc32c"}));
    assert_eq!(codecs(copy.zarr_format(3).without_shards().compressors(["gzip"])).len(), 2);
}

#[test]
fn elements_that_are_read_can_be_written() {
    let store = || Arc::new(MemoryStore::new());
    let numbers = ArrayBuilder::new([4, 6], "int16").create(store(), "").unwrap();
    let square = ndarray::array![[1i16, 2], [3, 4]];
    numbers.store_array_subset(&[0..2, 0..2], &square).unwrap();
    numbers.store_array_subset([2..4, 4..6], &square.t()).unwrap();
    assert_eq!(numbers.retrieve_array_subset::<Vec<i16>>([1..3, 0..6]).unwrap(), [3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3]);
    let found: ndarray::ArrayD<i16> = numbers.retrieve_array_subset(&[0..2, 0..2]).unwrap();
    assert_eq!(found, square.clone().into_dyn());
    assert!(numbers.store_array_subset([0..4, 0..1], &square).is_err());
    let texts = ArrayBuilder::new([3], "string").create(store(), "").unwrap();
    let words = vec!["a".to_owned(), String::new(), "chunk".to_owned()];
    texts.store_array_subset(0..3, &words).unwrap();
    assert_eq!(texts.retrieve_array_subset::<Vec<String>>(0..3).unwrap(), words);
    let blobs = ArrayBuilder::new([2], "bytes").create(store(), "").unwrap();
    let bytes = vec![vec![0u8, 1], vec![2]];
    blobs.store_array_subset(0..2, &bytes).unwrap();
    assert_eq!(blobs.retrieve_array_subset::<Vec<Vec<u8>>>(0..2).unwrap(), bytes);
    assert!(blobs.store_array_subset(0..2, &words).is_err());
}
