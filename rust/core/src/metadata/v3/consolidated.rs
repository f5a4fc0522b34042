//! Consolidated metadata of Zarr V3: the member `consolidated_metadata` of a group's `zarr.json`.

use serde_json::{Map, Value, json};

use super::{FILE, node_type};
use crate::error::{Error, Place, Result};
use crate::json::{object, read, string};
use crate::metadata::consolidated::{Consolidated, Noted, is_below, remove_below};
use crate::metadata::folder::{Folder, NodeKind, lock_key, metadata_key};

const MEMBER: &str = "consolidated_metadata";

/// Parses the consolidated metadata in a group's document. An entry that is no node is a damaged member.
pub(in crate::metadata) fn consolidated(document: &Value) -> Result<Option<Consolidated>> {
    let consolidated = match document.get(MEMBER) {
        None | Some(Value::Null) => return Ok(None),
        Some(consolidated) => object(consolidated).place(|| MEMBER)?,
    };
    let read_nodes = || {
        let kind = read(consolidated, "kind", string)?;
        if kind != "inline" {
            return match consolidated.get("must_understand") {
                Some(Value::Bool(false)) => Ok(None),
                _ => Err(Error::unsupported(format!("unknown kind {kind:?}; the only known kind is inline"))),
            };
        }
        let nodes = read(consolidated, "metadata", object)?.iter().map(|(path, document)| {
            let noted = match node_type(document) {
                Ok(kind) => Noted::V3(kind, document.clone()),
                Err(error) => Noted::Damaged(error),
            };
            (path.clone(), noted)
        });
        Ok(Some(Consolidated::new(nodes.collect())))
    };
    read_nodes().place(|| MEMBER)
}

fn inline(metadata: &Map<String, Value>) -> Value {
    json!({"kind": "inline", "must_understand": false, "metadata": metadata})
}

/// Returns the copy of a node's document.
fn copied(mut document: Value) -> Value {
    if matches!(node_type(&document), Ok(NodeKind::Group)) {
        // The group's own consolidated metadata may be older, and its members are listed beside it anyway.
        document[MEMBER] = inline(&Map::new());
    }
    document
}

/// Stores consolidated metadata in a folder's group. The paths of `below` are relative to the group.
pub(in crate::metadata) fn consolidate(folder: &Folder, below: &[(String, NodeKind)]) -> Result<()> {
    let mut metadata = Map::new();
    for (path, _) in below {
        let full = metadata_key(folder.path, path);
        let node = Folder { path: &full, ..*folder };
        let document = node.literal(FILE)?.ok_or_else(|| {
            Error::unsupported(format!(
                "{} is of Zarr V2; a V3 group can only consolidate V3 metadata",
                node.display("")
            ))
        })?;
        metadata.insert(path.clone(), copied(document));
    }
    let noted = inline(&metadata);
    let changed = folder.change(FILE, |document| {
        let mut document = document.ok_or_else(|| folder.missing())?;
        document[MEMBER] = noted.clone();
        Ok(Some(document))
    });
    changed.map(|_| ())
}

/// Replaces the copies of nodes in a folder's consolidated metadata, if it has any, by the metadata that are stored now.
/// The paths are relative to the folder. Consolidated metadata that cannot have them are removed.
pub(in crate::metadata) fn update(folder: &Folder, paths: &[&str]) -> Result<bool> {
    // Nobody can use the copies in a damaged document.
    match folder.file(FILE) {
        Ok(Some(document)) if document.get(MEMBER).is_some_and(|member| !member.is_null()) => {}
        Err(error) if error.kind() != crate::ErrorKind::InvalidMetadata => return Err(error),
        _ => return Ok(false),
    }
    let _guard = folder.store.lock(&lock_key(folder.path))?;
    let changed = folder.change(FILE, |document| {
        let Some(mut document) = document else { return Ok(None) };
        let Some(copies) = document.get_mut(MEMBER) else { return Ok(None) };
        let is_kept = match copies.get_mut("metadata") {
            Some(Value::Object(copies)) => replace(folder, copies, paths)?,
            _ => false,
        };
        if let (false, Some(members)) = (is_kept, document.as_object_mut()) {
            members.shift_remove(MEMBER);
        }
        Ok(Some(document))
    });
    changed.map(|changed| changed.is_some())
}

/// Replaces copies by what is stored; returns false if a node cannot be copied.
fn replace(folder: &Folder, copies: &mut Map<String, Value>, paths: &[&str]) -> Result<bool> {
    for path in paths {
        let full = metadata_key(folder.path, path);
        let node = Folder { path: &full, ..*folder };
        match node.literal(FILE) {
            Ok(Some(document)) => {
                if matches!(node_type(&document), Ok(NodeKind::Array)) {
                    remove_below(copies, path);
                }
                copies.insert((*path).to_owned(), copied(document));
            }
            Ok(None) if node.kind()?.is_none() => copies.retain(|other, _| other != path && !is_below(other, path)),
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == crate::ErrorKind::InvalidMetadata => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
