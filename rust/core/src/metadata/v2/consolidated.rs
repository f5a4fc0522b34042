//! Consolidated metadata of Zarr V2: the file `.zmetadata`.

use serde_json::{Map, Value, json};

use super::{ARRAY, ATTRIBUTES, GROUP};
use crate::ErrorKind;
use crate::error::{Error, Place, Result};
use crate::json::{check_format, object, show};
use crate::metadata::consolidated::{Consolidated, Noted, remove_below};
use crate::metadata::folder::{Folder, NodeKind, lock_key, metadata_key};

const FILE: &str = ".zmetadata";

/// Reads the consolidated metadata of a folder. An entry that is no node is a damaged member.
pub(in crate::metadata) fn consolidated(folder: &Folder) -> Result<Option<Consolidated>> {
    let Some(mut document) = folder.optional(FILE)? else { return Ok(None) };
    let mut read_nodes = || {
        if let Some(format) = document.get("zarr_consolidated_format").filter(|format| format.as_u64() != Some(1)) {
            return Err(Error::unsupported(format!(
                "unknown zarr_consolidated_format {}; the only known one is 1",
                show(format)
            )));
        }
        let files = match document.get_mut("metadata").map(Value::take) {
            Some(Value::Object(files)) => files,
            other => object(&other.unwrap_or_default()).place(|| "metadata").cloned()?,
        };
        let mut nodes = Vec::new();
        for (key, document) in &files {
            // Keys without a slash are the group's own files, which exist next to this one. If both are present, an
            // array takes precedence over a group.
            let Some((path, name)) = key.rsplit_once('/') else { continue };
            let kind = match name {
                ARRAY => NodeKind::Array,
                GROUP if !files.contains_key(&format!("{path}/{ARRAY}")) => NodeKind::Group,
                _ => continue,
            };
            let noted = match object(document).and_then(|document| check_format(document, 2)) {
                Err(error) => Noted::Damaged(error),
                Ok(()) => Noted::V2(kind, document.clone(), files.get(&format!("{path}/{ATTRIBUTES}")).cloned()),
            };
            nodes.push((path.to_owned(), noted));
        }
        Ok(Some(Consolidated::new(nodes)))
    };
    read_nodes().place(|| folder.display(FILE))
}

/// Writes the `.zmetadata` of a folder's group. The paths of `below` are relative to the group.
pub(in crate::metadata) fn consolidate(folder: &Folder, below: &[(String, NodeKind)]) -> Result<()> {
    let mut files = Map::new();
    for (path, kind) in [(String::new(), NodeKind::Group)].iter().chain(below) {
        let full = joined(folder.path, path);
        let node = Folder { path: &full, ..*folder };
        let name = if *kind == NodeKind::Array { ARRAY } else { GROUP };
        let document = node.literal(name)?.ok_or_else(|| {
            Error::unsupported(format!(
                "{} is of Zarr V3; a V2 group can only consolidate V2 metadata",
                node.display("")
            ))
        })?;
        files.insert(metadata_key(path, name), document);
        if let Some(attributes) = node.literal(ATTRIBUTES)? {
            files.insert(metadata_key(path, ATTRIBUTES), attributes);
        }
    }
    let noted = json!({"metadata": files, "zarr_consolidated_format": 1});
    folder.change(FILE, |_| Ok(Some(noted.clone()))).map(|_| ())
}

/// Returns the path of a node relative to a group, which itself has the path `""`.
fn joined(group: &str, path: &str) -> String {
    if path.is_empty() { group.to_owned() } else { metadata_key(group, path) }
}

/// Replaces the copies of nodes in a folder's consolidated metadata, if it has any, by the metadata that are stored now.
/// The paths are relative to the folder; `""` is its own group. Consolidated metadata that cannot have them are removed.
pub(in crate::metadata) fn update(folder: &Folder, paths: &[&str]) -> Result<bool> {
    let key = metadata_key(folder.path, FILE);
    if folder.store.open(&key)?.stat()?.is_none() {
        return Ok(false);
    }
    let _guard = folder.store.lock(&lock_key(folder.path))?;
    let mut is_kept = true;
    let changed = folder.change(FILE, |document| {
        let Some(mut document) = document else { return Ok(None) };
        is_kept = match document.get_mut("metadata") {
            Some(Value::Object(copies)) => replace(folder, copies, paths)?,
            _ => false,
        };
        Ok(is_kept.then_some(document))
    });
    match changed {
        Ok(changed) if is_kept => Ok(changed.is_some()),
        // Nobody can use damaged consolidated metadata.
        Err(error) if error.kind() == ErrorKind::InvalidMetadata => Ok(false),
        Err(error) => Err(error),
        Ok(_) => folder.store.erase(&key).map(|()| true),
    }
}

/// Replaces copies by what is stored; returns false if a node cannot be copied.
fn replace(folder: &Folder, copies: &mut Map<String, Value>, paths: &[&str]) -> Result<bool> {
    for path in paths {
        let full = joined(folder.path, path);
        let node = Folder { path: &full, ..*folder };
        let mut files = Vec::new();
        for name in [ARRAY, GROUP, ATTRIBUTES] {
            match node.literal(name) {
                Ok(document) => files.push((name, document)),
                Err(error) if error.kind() == ErrorKind::InvalidMetadata => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let has = |number: usize| files[number].1.is_some();
        if !has(0) && !has(1) && (path.is_empty() || node.kind()?.is_some()) {
            return Ok(false);
        }
        if !has(1) || has(0) {
            remove_below(copies, path);
        }
        let is_node = has(0) || has(1);
        for (name, document) in files {
            match document {
                Some(document) if is_node => copies.insert(metadata_key(path, name), document),
                _ => copies.shift_remove(&metadata_key(path, name)),
            };
        }
    }
    Ok(true)
}
