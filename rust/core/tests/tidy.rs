//! What `ARCHITECTURE.md` says of the layers and of `unsafe`, checked.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module uses only what stands in a layer below it, or beside it.
const LAYERS: &[&[&str]] = &[
    &["error", "subset"],
    &["base64", "json", "data_type", "fill_value", "float", "options", "runtime", "slot"],
    &["view", "buffer"],
    &["store", "chunk_grid", "chunk_key"],
    &["codec"],
    &["metadata"],
    &["plan", "selection", "fetch", "cache", "read", "write"],
    &["array", "group"],
    &["asdf", "copy"],
];

/// Where memory is handled by hand, and why.
const UNSAFE: &[&str] = &[
    "view/strided.rs",                       // moving elements between buffers
    "view/jumps.rs",                         // the same, at listed offsets
    "view/output.rs",                        // the buffer that threads share
    "view/memory.rs",                        // zeroed memory
    "runtime.rs",                            // what lives once in a process
    "read/index.rs",                         // sharing a buffer
    "read/decode.rs",                        // slices of the output
    "read/execute.rs",                       // the same
    "read/pieces.rs",                        // the same
    "write/part.rs",                         // gathering into a buffer
    "array/buffers.rs",                      // the caller's buffers
    "array/element.rs",                      // which Rust types are plain bytes
    "store/byte_lock.rs",                    // a call of the system
    "store/system.rs",                       // calls of the system
    "codec/bytes_to_bytes/blosc/c_blosc.rs", // C
    "codec/bytes_to_bytes/deflate.rs",       // C
    "codec/array_codecs.rs",                 // placing into a buffer
    "asdf/yaml/raw.rs",                      // C, translated
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Each file's name below `src`, and its text before its tests.
fn code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&source(), &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(source()).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            (name, text[..end].to_owned())
        })
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("tests/"))
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for (name, text) in code() {
        let own = name.split(['/', '.']).next().unwrap();
        if own == "lib" {
            continue;
        }
        let rank = layer(own).unwrap_or_else(|| panic!("{own} has no layer"));
        for used in text.split("crate::").skip(1) {
            let module = used.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap();
            if layer(module).is_some_and(|used| used > rank) {
                wrong.push(format!("{name} uses {module}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stays_where_it_belongs() {
    for (name, text) in code() {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let found = lines.filter(|line| line.contains("unsafe ")).count();
        assert!(found == 0 || UNSAFE.contains(&&*name), "unsafe in {name}");
    }
    for name in UNSAFE {
        assert!(source().join(name).exists(), "{name} is gone");
    }
}

#[test]
fn a_codec_knows_no_stores_and_a_store_no_arrays() {
    for (name, text) in code() {
        let forbidden: &[&str] = match name.split('/').next().unwrap() {
            "codec" => &["crate::store", "crate::array", "crate::metadata"],
            "store" => &["crate::array", "crate::codec", "crate::metadata"],
            _ => &[],
        };
        for other in forbidden {
            assert!(!text.contains(other), "{name} uses {other}");
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for (name, text) in code() {
        let lines = text.lines().count();
        assert!(lines <= 450, "{name} has {lines} lines: is there a second subject inside?");
    }
}
