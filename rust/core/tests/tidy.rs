//! Checks what `ARCHITECTURE.md` says about layers, imports, `unsafe` and the length of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first. A module uses only modules of its own layer and of lower ones.
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

/// The files with `unsafe` code, and what it is for.
const UNSAFE: &[&str] = &[
    "view/strided.rs",                       // moving elements between buffers
    "view/jumps.rs",                         // moving elements at listed offsets
    "view/output.rs",                        // the buffer that threads share
    "view/memory.rs",                        // zeroed memory
    "runtime.rs",                            // values that exist once per process
    "runtime/fork.rs",                       // locks that a forked child finds free
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

fn binding() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/src")
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

/// Returns the name of each file relative to a folder, and its text before its tests.
fn code(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
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

/// Returns the names that follow a path prefix in the code of a file: `b` and `c` of `use a::{b, c::d}` for prefix
/// `a::`.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        // This is the end of a longer path.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (end, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.insert(word(&list[start..end]));
                    start = end + 1;
                }
                '}' => depth -= 1,
                _ => {}
            }
            if c == '}' && depth == 0 && start == end + 1 {
                break;
            }
        }
    }
    names
}

/// Returns the modules that are part of an import circle, or on a path between two circles.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> Vec<(String, BTreeSet<String>)> {
    loop {
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        let before = uses.len();
        uses.retain(|name, uses| !uses.is_empty() && used.contains(name));
        let names: BTreeSet<String> = uses.keys().cloned().collect();
        for uses in uses.values_mut() {
            uses.retain(|name| names.contains(name));
        }
        if uses.len() == before {
            return uses.into_iter().collect();
        }
    }
}

#[test]
fn modules_use_only_lower_layers() {
    let mut wrong = Vec::new();
    for (name, text) in code(&source()) {
        let module = name.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let rank = layer(module).unwrap_or_else(|| panic!("{module} has no layer"));
        for used in names_after(&text, "crate::") {
            if layer(&used).is_some_and(|used| used > rank) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn modules_do_not_import_in_circles() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in code(&source()) {
        let module = name.split(['/', '.']).next().unwrap().to_owned();
        if module != "lib" {
            let used =
                names_after(&text, "crate::").into_iter().filter(|used| layer(used).is_some() && *used != module);
            uses.entry(module.clone()).or_default().extend(used);
        }
    }
    let found = circles(uses);
    assert!(found.is_empty(), "{found:#?}");
}

/// A file and the folder of the same name count as one module. `mod.rs` is left out because it declares the others.
#[test]
fn files_of_a_folder_do_not_import_in_circles() {
    let all = code(&source());
    let folders: BTreeSet<&str> = all.iter().filter_map(|(name, _)| Some(name.rsplit_once('/')?.0)).collect();
    for folder in folders {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, text) in &all {
            let Some(below) = name.strip_prefix(folder).and_then(|name| name.strip_prefix('/')) else { continue };
            let module = below.split(['/', '.']).next().unwrap().to_owned();
            if module == "mod" {
                continue;
            }
            let depth = below.matches('/').count() + usize::from(!below.ends_with("/mod.rs"));
            let mut used = names_after(text, &"super::".repeat(depth));
            used.extend(names_after(text, &format!("crate::{}::", folder.replace('/', "::"))));
            used.remove(&module);
            uses.entry(module).or_default().extend(used);
        }
        let names: BTreeSet<String> = uses.keys().cloned().collect();
        for uses in uses.values_mut() {
            uses.retain(|name| names.contains(name));
        }
        let found = circles(uses);
        assert!(found.is_empty(), "in {folder}: {found:#?}");
    }
}

#[test]
fn unsafe_is_only_in_listed_files() {
    let is_unsafe = |text: &str| {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        lines.any(|line| line.contains("unsafe "))
    };
    let found: BTreeSet<_> = code(&source()).into_iter().filter(|(_, text)| is_unsafe(text)).collect();
    let found: BTreeSet<_> = found.iter().map(|(name, _)| &**name).collect();
    assert_eq!(found, UNSAFE.iter().copied().collect());
}

/// Functions with many parameters get a structure instead.
#[test]
fn functions_take_few_arguments() {
    for (name, text) in code(&source()).into_iter().chain(code(&binding())) {
        assert!(!text.contains("clippy::too_many_arguments"), "{name} allows too many arguments");
    }
}

#[test]
fn a_codec_knows_no_stores_and_a_store_no_arrays() {
    for (name, text) in code(&source()) {
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
    for (root, most) in [(source(), 450), (binding(), 500)] {
        for (name, text) in code(&root) {
            let lines = text.lines().count();
            assert!(lines <= most, "{name} has {lines} lines: is there a second subject inside?");
        }
    }
}
