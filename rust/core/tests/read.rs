//! Reads of arrays written here, against an obvious gather.
use std::sync::Arc;

use serde_json::json;
use tegula::store::{MemoryStore, Store};
use tegula::{Array, ArraySubset, AxisSelection, OutputBuffer, Selection};

#[test]
fn smoke() {
    for chain in [
        json!([{"name":"bytes","configuration":{"endian":"little"}}]),
        json!([{"name":"bytes","configuration":{"endian":"big"}},{"name":"zstd","configuration":{"level":1,"checksum":true}}]),
        json!([{"name":"transpose","configuration":{"order":[1,0]}},{"name":"bytes","configuration":{"endian":"big"}},{"name":"gzip","configuration":{"level":1}},{"name":"crc32c"}]),
        json!([{"name":"transpose","configuration":{"order":[1,0]}},{"name":"sharding_indexed","configuration":{"chunk_shape":[4,2],
          "codecs":[{"name":"transpose","configuration":{"order":[1,0]}},{"name":"bytes","configuration":{"endian":"big"}},{"name":"zstd","configuration":{"level":1}}],
          "index_codecs":[{"name":"bytes","configuration":{"endian":"little"}},{"name":"crc32c"}]}}]),
        json!([{"name":"sharding_indexed","configuration":{"chunk_shape":[4,6],
          "codecs":[{"name":"sharding_indexed","configuration":{"chunk_shape":[2,3],"codecs":[{"name":"bytes","configuration":{"endian":"little"}}],
             "index_codecs":[{"name":"bytes","configuration":{"endian":"big"}}], "index_location":"start"}}],
          "index_codecs":[{"name":"bytes","configuration":{"endian":"little"}},{"name":"crc32c"}]}}, {"name":"gzip","configuration":{"level":1}}]),
    ] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let doc = json!({"zarr_format":3,"node_type":"array","shape":[19,23],"data_type":"int32","chunk_grid":{"name":"regular","configuration":{"chunk_shape":[8,12]}},
          "chunk_key_encoding":{"name":"default"},"fill_value":7,"codecs":chain});
        store.set("a/zarr.json", doc.to_string().as_bytes()).unwrap();
        let a = Array::open(store.clone(), "a").unwrap();
        let all: Vec<i32> = (0..19 * 23).collect();
        a.store_array_subset(&a.subset_all(), &all).unwrap();
        let back: Vec<i32> = a.retrieve_array_subset(&a.subset_all()).unwrap();
        assert_eq!(all, back, "{chain}");
        let part: Vec<i32> = a.retrieve_array_subset(&ArraySubset::new_with_ranges(&[5..17, 3..20])).unwrap();
        let expected: Vec<i32> = (5..17).flat_map(|i| (3..20).map(move |j| i * 23 + j)).collect();
        assert_eq!(part, expected);
        let sel = Selection::new(vec![
            AxisSelection { start: 18, step: -3, length: 6 },
            AxisSelection { start: 1, step: 5, length: 5 },
        ])
        .unwrap();
        let mut out = vec![0u8; 30 * 4];
        a.retrieve_selection_into(&sel, OutputBuffer::new(&mut out, &[6, 5], 4).unwrap()).unwrap();
        let got: Vec<i32> = out.chunks(4).map(|c| i32::from_ne_bytes(c.try_into().unwrap())).collect();
        let expected: Vec<i32> = (0..6).flat_map(|i| (0..5).map(move |j| (18 - 3 * i) * 23 + 1 + 5 * j)).collect();
        assert_eq!(got, expected);
        println!("{:?}", a.explain(&sel).unwrap());
        a.erase_chunk(&[1, 1]).unwrap();
        let v: Vec<i32> = a.retrieve_chunk(&[1, 1]).unwrap();
        assert!(v.iter().all(|x| *x == 7));
        assert!(a.retrieve_chunk_if_exists::<Vec<i32>>(&[1, 1]).unwrap().is_none());
        let d = a.partial_decoder(&[0, 0]).unwrap();
        let r: Vec<Vec<i32>> = d
            .partial_decode(&[
                ArraySubset::new_with_ranges(&[0..2, 0..2]),
                ArraySubset::new_with_ranges(&[7..8, 11..12]),
            ])
            .unwrap();
        assert_eq!(r, [vec![0, 1, 23, 24], vec![7 * 23 + 11]]);
        println!("{:?}", d.array().cache());
    }
}
