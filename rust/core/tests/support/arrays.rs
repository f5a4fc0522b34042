//! Zarr V3 arrays for tests of writing.

use std::sync::Arc;

use serde_json::{Value, json};
use tegula::Array;
use tegula::store::Store;

#[allow(clippy::needless_pass_by_value)] // called with json!(...)
pub(crate) fn named(name: &str, configuration: Value) -> Value {
    json!({"name": name, "configuration": configuration})
}

pub(crate) fn bytes() -> Value {
    named("bytes", json!({"endian": "little"}))
}

pub(crate) fn open(store: Arc<dyn Store>, shape: &[u64], grid: &Value, data_type: &str, codecs: &Value) -> Array {
    let fill = if data_type == "string" { json!("none") } else { json!(7) };
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type,
        "fill_value": fill, "chunk_grid": grid, "chunk_key_encoding": {"name": "default"}, "codecs": codecs});
    store.set("a/zarr.json", document.to_string().as_bytes()).unwrap();
    Array::open(store, "a").unwrap()
}

pub(crate) fn chunk_keys(store: &dyn Store) -> Vec<String> {
    let mut keys = tegula::store::keys_below(store, "a").unwrap();
    keys.retain(|key| key != "a/zarr.json");
    keys
}
