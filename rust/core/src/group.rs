//! Groups: what lies below a path of a store.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::metadata::{Attributes, Folder, GroupMetadata, NodeKind, metadata_key, node_path, open_group, write_node};
use crate::store::{Store, check_key};

/// Nothing is looked for deeper below a group: a folder so deep is a link to one above itself.
const DEPTH: usize = 64;

/// A group of arrays and groups.
#[derive(Clone, Debug)]
pub struct Group {
    store: Arc<dyn Store>,
    path: String,
    metadata: GroupMetadata,
}

impl Group {
    /// Opens the group at a path.
    pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Self> {
        let metadata = open_group(&*store, path)?;
        Self::new_with_metadata(store, path, metadata)
    }

    /// A group with given metadata, which are not written.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        Ok(Self { path: node_path(path)?, store, metadata })
    }

    /// Stores a group at a path, over what is there.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        write_node(&*store, path, &metadata.files())?;
        Ok(Self { path: node_path(path)?, store, metadata })
    }

    /// The store it lies in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Its path there; `""`: the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// 3 or 2.
    pub fn zarr_format(&self) -> u8 {
        self.metadata.zarr_format
    }

    /// What users wrote beside it.
    pub fn attributes(&self) -> &Attributes {
        &self.metadata.attributes
    }

    /// What it is.
    pub fn metadata(&self) -> &GroupMetadata {
        &self.metadata
    }

    /// The arrays and groups directly in this one, by name.
    pub fn children(&self) -> Result<Vec<(String, NodeKind)>> {
        self.members(false)
    }

    /// The arrays and groups in this one, or `recursive`ly below it, by path from here; each group stands before
    /// what is in it, and names are sorted.
    ///
    /// They are looked for in the store. Where that cannot be listed, what a writer consolidated is taken. Folders
    /// and files that are not Zarr's are passed over.
    pub fn members(&self, recursive: bool) -> Result<Vec<(String, NodeKind)>> {
        let mut members = Vec::new();
        match self.list(&self.path, if recursive { DEPTH } else { 0 }, &mut members) {
            Ok(()) => {
                let below = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
                for (path, _) in &mut members {
                    *path = path.split_off(below);
                }
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                members = self.consolidated()?.ok_or(error)?;
                members.retain(|(path, _)| recursive || !path.contains('/'));
                members.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
            }
            Err(error) => return Err(error),
        }
        Ok(members)
    }

    fn list(&self, path: &str, deeper: usize, members: &mut Vec<(String, NodeKind)>) -> Result<()> {
        let names = self.store.list_dir(path).place(|| format!("cannot list {}", self.store.display(path)))?.prefixes;
        for name in names.iter().filter(|name| check_key(name).is_ok()) {
            let path = metadata_key(path, name);
            let Some(kind) = Folder { store: &*self.store, path: &path }.kind()? else { continue };
            members.push((path.clone(), kind));
            match (kind, deeper) {
                (NodeKind::Array, _) | (NodeKind::Group, 0) => {}
                (NodeKind::Group, 1) => {
                    let place = self.store.display(&path);
                    return Err(Error::store(format!(
                        "{place} lies {DEPTH} levels deep: is there a link that leads back?"
                    )));
                }
                (NodeKind::Group, _) => self.list(&path, deeper - 1, members)?,
            }
        }
        Ok(())
    }

    /// What the nearest group that has consolidated metadata, this one or one above it, knows of what lies below.
    fn consolidated(&self) -> Result<Option<Vec<(String, NodeKind)>>> {
        let mut above = self.path.as_str();
        loop {
            if let Some(nodes) = (Folder { store: &*self.store, path: above }).consolidated()? {
                let below = self.path[above.len()..].trim_start_matches('/');
                let relative = |(path, kind): (String, NodeKind)| match below {
                    "" => Some((path, kind)),
                    _ => Some((path.strip_prefix(below)?.strip_prefix('/')?.to_owned(), kind)),
                };
                return Ok(Some(nodes.into_iter().filter_map(relative).collect()));
            }
            if above.is_empty() {
                return Ok(None);
            }
            above = above.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Node, open_array, open_node};
    use crate::store::{Listing, MemoryStore, Object};

    const ARRAY: &str = r#"{"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "chunk_key_encoding": "default",
        "codecs": ["bytes"]}"#;
    const GROUP: &str = r#"{"zarr_format": 3, "node_type": "group", "attributes": {"a": NaN}}"#;
    const ZARRAY: &str = r#"{"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "|u1", "compressor": null,
        "fill_value": 0, "order": "C", "filters": null}"#;

    fn store(files: &[(&str, &str)]) -> Arc<MemoryStore> {
        let store = MemoryStore::new();
        for (key, text) in files {
            store.set(key, text.as_bytes()).unwrap();
        }
        Arc::new(store)
    }

    fn hierarchy() -> Arc<MemoryStore> {
        store(&[
            ("zarr.json", GROUP),
            ("README", "no JSON"),
            ("b/zarr.json", ARRAY),
            ("b/c/zarr.json", "in an array: not looked at"),
            ("a/zarr.json", GROUP),
            ("a/z/zarr.json", GROUP),
            ("a/z/y/zarr.json", ARRAY),
            ("a/.zattrs", r#"{"not": "V3"}"#),
            ("a-old/.zgroup", r#"{"zarr_format": 2}"#),
            ("a-old/.zattrs", r#"{"a": 1}"#),
            ("a-old/x/.zarray", ZARRAY),
            ("empty/folder/file", ""),
        ])
    }

    fn show(members: &[(String, NodeKind)]) -> String {
        members
            .iter()
            .flat_map(|(path, kind)| [&**path, if *kind == NodeKind::Array { ":A " } else { ":G " }])
            .collect()
    }

    /// A store as a server without a listing has it.
    #[derive(Debug)]
    struct Unlisted(Arc<MemoryStore>);

    impl Store for Unlisted {
        fn open(&self, key: &str) -> Result<Box<dyn Object>> {
            self.0.open(key)
        }

        fn display(&self, key: &str) -> String {
            self.0.display(key)
        }

        fn identity(&self) -> u64 {
            self.0.identity()
        }
    }

    #[test]
    fn members_are_listed() {
        let root = Group::open(hierarchy(), "/").unwrap();
        assert_eq!(show(&root.children().unwrap()), "a:G a-old:G b:A ");
        assert_eq!(show(&root.members(true).unwrap()), "a:G a/z:G a/z/y:A a-old:G a-old/x:A b:A ");
        assert_eq!((root.zarr_format(), &root.attributes()["a"]), (3, &"NaN".into()));
        let a = Group::open(hierarchy(), "/a/").unwrap();
        assert_eq!((a.path(), &*show(&a.members(true).unwrap())), ("a", "z:G z/y:A "));
        assert_eq!(show(&a.children().unwrap()), "z:G ");
        let old = Group::open(hierarchy(), "a-old").unwrap();
        assert_eq!((old.zarr_format(), &old.attributes()["a"]), (2, &1.into()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let store = hierarchy();
        for (path, message) in [
            ("empty", "no array or group at memory:/empty"),
            ("no", "no array or group at memory:/no"),
            ("b/../b", "\"b/../b\" is not the path of an array or group"),
            ("b//b", "\"b//b\" is not the path of an array or group"),
            ("..", "\"..\" is not the path of an array or group"),
        ] {
            let error = open_node(&*store, path).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, message));
        }
        assert_eq!(Group::open(store.clone(), "b").unwrap_err().message(), "no group but an array at memory:/b");
        assert_eq!(open_array(&*store, "a").unwrap_err().message(), "no array but a group at memory:/a");
        assert!(matches!(open_node(&*store, "b").unwrap(), Node::Array(_)));
        store.set("b/zarr.json", ARRAY.replace("[4]", "[-4]").as_bytes()).unwrap();
        let error = open_node(&*store, "b").unwrap_err();
        assert!(error.message().starts_with("memory:/b/zarr.json: shape: -4"), "{error}");
    }

    #[test]
    fn consolidated_metadata_stand_in_for_a_listing() {
        let consolidated = format!(
            r#"{{"zarr_format": 3, "node_type": "group", "consolidated_metadata": {{"kind": "inline", "metadata":
            {{"b": {ARRAY}, "a": {GROUP}, "a/z": {ARRAY}, "../out": {ARRAY}, "/etc": {GROUP}, "a/../../x": {ARRAY}, "odd": 1}}}}}}"#
        );
        let v3 = store(&[("zarr.json", &consolidated), ("a/zarr.json", GROUP), ("c/zarr.json", ARRAY)]);
        let v2 = store(&[
            (".zgroup", r#"{"zarr_format": 2}"#),
            ("a/.zgroup", r#"{"zarr_format": 2}"#),
            (
                ".zmetadata",
                r#"{"zarr_consolidated_format": 1, "metadata":
                {".zgroup": {}, "b/.zarray": {}, "b/.zattrs": {}, "a/.zgroup": {}, "a/z/.zarray": {}, "../x/.zarray": {}}}"#,
            ),
        ]);
        assert_eq!(show(&Group::open(v3.clone(), "").unwrap().members(true).unwrap()), "a:G c:A ");
        for store in [v3, v2] {
            let root = Group::open(Arc::new(Unlisted(store.clone())), "").unwrap();
            assert_eq!(show(&root.children().unwrap()), "a:G b:A ");
            assert_eq!(show(&root.members(true).unwrap()), "a:G a/z:A b:A ");
            let a = Group::open(Arc::new(Unlisted(store)), "a").unwrap();
            assert_eq!(show(&a.members(true).unwrap()), "z:A ");
        }
        let unlisted = Group::open(Arc::new(Unlisted(hierarchy())), "").unwrap();
        assert_eq!(unlisted.children().unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_group_in_itself_ends() {
        #[derive(Debug)]
        struct Looped(Arc<MemoryStore>);

        impl Store for Looped {
            fn open(&self, key: &str) -> Result<Box<dyn Object>> {
                self.0.open(key.rsplit('/').next().unwrap_or(key))
            }

            fn list_dir(&self, _: &str) -> Result<Listing> {
                Ok(Listing { keys: Vec::new(), prefixes: vec!["one".into(), "two".into()] })
            }

            fn display(&self, key: &str) -> String {
                key.to_owned()
            }

            fn identity(&self) -> u64 {
                0
            }
        }

        let looped = Group::open(Arc::new(Looped(hierarchy())), "").unwrap();
        assert_eq!(looped.children().unwrap().len(), 2);
        assert_eq!(looped.members(true).unwrap_err().kind(), ErrorKind::Store);
    }

    #[test]
    fn a_new_group_is_read_back() {
        let attributes: Attributes = [("a".to_owned(), 1.into())].into_iter().collect();
        let store = store(&[]);
        for metadata in [GroupMetadata::new_v3, GroupMetadata::new_v2] {
            for attributes in [attributes.clone(), Attributes::new()] {
                let path = format!("v{}", metadata(Attributes::new()).zarr_format);
                let group = Group::create(store.clone(), &path, metadata(attributes.clone())).unwrap();
                let read = Group::open(store.clone(), &path).unwrap();
                assert_eq!((read.attributes(), read.zarr_format()), (&attributes, group.zarr_format()));
                assert_eq!(read.metadata().document, group.metadata().document);
            }
        }
    }
}
