//! Keeps [consolidated metadata](super::consolidated) true: after each change of a node, the copies in the groups above it
//! follow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, NodeKind};
use super::{v2, v3};
use crate::error::{Place, Result};
use crate::store::Store;

/// Number of changes that this process has made to consolidated metadata.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Returns a number that is greater after each change that this process makes to consolidated metadata.
pub(crate) fn consolidated_changes() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

/// Counts a change of consolidated metadata, after which groups of this process read them again.
pub(super) fn note_change() {
    CHANGES.fetch_add(1, Ordering::Release);
}

/// Copies the metadata of nodes, as they are stored now, to the consolidated metadata of all groups above them, in this
/// store and in the folders that contain it. Metadata of nodes that no longer exist are removed from there.
///
/// Every change of metadata ends with this call. `zarr_format` is that of the nodes if the change kept it. A group's
/// metadata is locked while it is changed, and the nodes are read under this lock, so the last of several writers stores
/// the truth. No caller holds the lock of a group above.
pub(crate) fn refresh_consolidated(store: &dyn Store, paths: &[String], zarr_format: Option<u8>) -> Result<()> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        // A group has its own metadata in its `.zmetadata` too.
        groups.entry(path).or_default().push("");
        let mut end = path.len();
        while let Some(slash) = path[..end].rfind('/') {
            groups.entry(&path[..slash]).or_default().push(&path[slash + 1..]);
            end = slash;
        }
        if !path.is_empty() {
            groups.entry("").or_default().push(path);
        }
    }
    for (path, members) in groups.iter().rev() {
        update(&Folder { store, path }, members, zarr_format)?;
    }
    let Some((outer, name)) = store.above() else { return Ok(()) };
    let folder = Folder { store: &*outer, path: "" };
    // The folder may contain anything; only a group can have consolidated metadata.
    match folder.kind() {
        Ok(Some(NodeKind::Group)) => {}
        _ => return Ok(()),
    }
    let outside = |path: &String| if path.is_empty() { name.clone() } else { format!("{name}/{path}") };
    refresh_consolidated(&*outer, &paths.iter().map(outside).collect::<Vec<_>>(), zarr_format)
}

fn update(folder: &Folder, members: &[&str], zarr_format: Option<u8>) -> Result<()> {
    let change = || {
        let inside: Vec<&str> = members.iter().copied().filter(|member| !member.is_empty()).collect();
        let in_v3 = zarr_format != Some(2) && !inside.is_empty() && v3::update_consolidated(folder, &inside)?;
        let in_v2 = zarr_format != Some(3) && v2::update_consolidated(folder, members)?;
        Ok(in_v3 || in_v2)
    };
    if change().place(|| {
        format!("cannot update the consolidated metadata of {} after a change", folder.store.display(folder.path))
    })? {
        note_change();
    }
    Ok(())
}
