//! Groups: what lies below a path of a store.

use std::sync::Arc;

use crate::array::Array;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::metadata::{
    Attributes, AttributesChange, Consolidated, Folder, GroupMetadata, Node, NodeKind, change_attributes, consolidate,
    lock_node, metadata_key, node_path, open_node, revision, write_node,
};
use crate::options::global_options;
use crate::runtime::{gather_map, parallel_map};
use crate::store::{Store, check_key};

/// Nothing is looked for deeper below a group: a folder so deep is a link to one above itself.
const DEPTH: usize = 64;

/// Whether a group's consolidated metadata are used: what a writer noted in it of the metadata of all that lies below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UseConsolidated {
    /// Where there are such.
    #[default]
    IfThere,
    /// A group without such is an error.
    Always,
    /// The store alone is asked.
    Never,
}

/// A group of arrays and groups.
#[derive(Clone, Debug)]
pub struct Group {
    store: Arc<dyn Store>,
    path: String,
    metadata: GroupMetadata,
    consolidated: Option<Noted>,
    use_consolidated: UseConsolidated,
    revision: u64,
}

/// What a group, this one or one above it, knows of what lies below.
#[derive(Clone, Debug)]
struct Noted {
    metadata: Arc<Consolidated>,
    /// The path of this group from there.
    path: String,
}

/// An array or a group.
#[derive(Clone, Debug)]
pub enum Member {
    /// An array.
    Array(Array),
    /// A group.
    Group(Group),
}

/// Opens the array or group at a path.
pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Member> {
    Member::open(store, path, UseConsolidated::IfThere)
}

impl Member {
    fn open(store: Arc<dyn Store>, path: &str, use_consolidated: UseConsolidated) -> Result<Self> {
        match open_node(&*store, path)? {
            Node::Array(metadata) => Array::new_with_metadata(store, path, *metadata).map(Self::Array),
            Node::Group(metadata) => {
                Group::with_consolidated(store, path, *metadata, use_consolidated).map(Self::Group)
            }
        }
    }
}

impl Group {
    /// Opens the group at a path.
    pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Self> {
        Self::open_with(store, path, UseConsolidated::IfThere)
    }

    /// Opens the group at a path; what is opened from it uses consolidated metadata in the same way.
    pub fn open_with(store: Arc<dyn Store>, path: &str, use_consolidated: UseConsolidated) -> Result<Self> {
        let metadata = crate::metadata::open_group(&*store, path)?;
        Self::with_consolidated(store, path, metadata, use_consolidated)
    }

    fn with_consolidated(
        store: Arc<dyn Store>,
        path: &str,
        metadata: GroupMetadata,
        use_consolidated: UseConsolidated,
    ) -> Result<Self> {
        let group = Self { use_consolidated, ..Self::new_with_metadata(store, path, metadata)? };
        let consolidated = match use_consolidated {
            UseConsolidated::Never => None,
            _ => group.folder(&group.path).consolidated(&group.metadata)?,
        };
        if use_consolidated == UseConsolidated::Always && consolidated.is_none() {
            return Err(Error::metadata(format!("{} has no consolidated metadata", group.name())));
        }
        let noted = consolidated.map(|metadata| Noted { metadata: metadata.into(), path: String::new() });
        Ok(Self { consolidated: noted, ..group })
    }

    /// A group with given metadata, which are not written.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        let use_consolidated = UseConsolidated::IfThere;
        Ok(Self { path: node_path(path)?, store, metadata, consolidated: None, use_consolidated, revision: 0 })
    }

    /// Stores a group at a path, over what is there.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        write_node(&*store, path, &metadata.files())?;
        Self::new_with_metadata(store, path, metadata)
    }

    /// Changes the stored attributes, and returns the group with all that there are then. Others that change its metadata
    /// wait.
    pub fn change_attributes(&self, change: &AttributesChange) -> Result<Self> {
        let _guard = lock_node(&*self.store, &self.path)?;
        let attributes = change_attributes(&*self.store, &self.path, self.zarr_format(), change)?;
        Ok(Self { metadata: self.metadata.with_attributes(attributes), revision: revision(), ..self.clone() })
    }

    /// Returns the revision of the metadata; see [`Array::revision`].
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Notes in the group the metadata of all that lies below, as the store has it now, and returns the group that
    /// uses them.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) where arrays or groups are of the other version of Zarr.
    pub fn consolidate(&self) -> Result<Self> {
        let members = self.without_consolidated().members(true)?;
        consolidate(&*self.store, &self.path, self.zarr_format(), &members)?;
        Self::open(self.store.clone(), &self.path)
    }

    /// The store it lies in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Its path there; `""`: the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Store and path, for people.
    pub fn name(&self) -> String {
        self.store.display(&self.path)
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

    /// Whether what lies in it is known from consolidated metadata, its own or those of a group above it.
    pub fn is_consolidated(&self) -> bool {
        self.consolidated.is_some()
    }

    /// How it was asked to use consolidated metadata.
    pub fn use_consolidated(&self) -> UseConsolidated {
        self.use_consolidated
    }

    /// The same group, without consolidated metadata.
    #[must_use]
    pub fn without_consolidated(&self) -> Self {
        Self { consolidated: None, use_consolidated: UseConsolidated::Never, ..self.clone() }
    }

    /// The arrays and groups directly in this one, by name.
    pub fn children(&self) -> Result<Vec<(String, NodeKind)>> {
        self.members(false)
    }

    /// The arrays and groups in this one, or `recursive`ly below it, by path from here; each group stands before
    /// what is in it, and names are sorted.
    ///
    /// Consolidated metadata are believed. Else they are looked for in the store, where folders and files that are not
    /// Zarr's are passed over; where it cannot be listed, the consolidated metadata of a group above are taken.
    pub fn members(&self, recursive: bool) -> Result<Vec<(String, NodeKind)>> {
        if let Some(noted) = &self.consolidated {
            return Ok(noted.metadata.members(&noted.path, recursive));
        }
        match self.list(&self.path, if recursive { DEPTH } else { 0 }) {
            Err(error) if error.kind() == ErrorKind::Unsupported && self.use_consolidated != UseConsolidated::Never => {
                let noted = self.noted_above()?.ok_or(error)?;
                Ok(noted.metadata.members(&noted.path, recursive))
            }
            Ok(mut members) => {
                let below = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
                for (path, _) in &mut members {
                    *path = path.split_off(below);
                }
                Ok(members)
            }
            error => error,
        }
    }

    /// The array or group at a path from here. Where metadata are consolidated, nothing is read.
    pub fn member(&self, path: &str) -> Result<Member> {
        let path = node_path(path)?;
        let full = if path.is_empty() { self.path.clone() } else { metadata_key(&self.path, &path) };
        let Some(noted) = &self.consolidated else {
            let use_consolidated = match self.use_consolidated {
                UseConsolidated::Always => UseConsolidated::IfThere,
                other => other,
            };
            return Member::open(self.store.clone(), &full, use_consolidated);
        };
        if path.is_empty() {
            return Ok(Member::Group(self.clone()));
        }
        let inside = metadata_key(&noted.path, &path);
        match noted.metadata.node(&inside) {
            None => Err(Error::not_found(format!(
                "no array or group at {}, as the consolidated metadata say",
                self.store.display(&full)
            ))),
            Some(node) => match node.place(|| self.store.display(&full))? {
                Node::Array(metadata) => {
                    Array::new_with_metadata(self.store.clone(), &full, *metadata).map(Member::Array)
                }
                Node::Group(metadata) => Ok(Member::Group(Self {
                    consolidated: Some(Noted { path: inside, ..noted.clone() }),
                    use_consolidated: self.use_consolidated,
                    ..Self::new_with_metadata(self.store.clone(), &full, *metadata)?
                })),
            },
        }
    }

    /// Opens members by their paths from here, each of which may fail; their metadata are read at once.
    pub fn open_members(&self, paths: &[String]) -> Vec<Result<Member>> {
        let opened = self.each(paths, |path| Ok(self.member(path)));
        opened.unwrap_or_default()
    }

    /// Does `work` for each path, several at once.
    fn each<R: Send>(&self, paths: &[String], work: impl Fn(&String) -> Result<R> + Sync) -> Result<Vec<R>> {
        if self.store.profile().remote {
            gather_map(paths, work)
        } else {
            parallel_map(paths, global_options().concurrency(), work)
        }
    }

    fn folder<'a>(&'a self, path: &'a str) -> Folder<'a> {
        Folder { store: &*self.store, path }
    }

    /// What lies in a group of the store, and so many levels deeper.
    fn list(&self, path: &str, deeper: usize) -> Result<Vec<(String, NodeKind)>> {
        let names = self.store.list_dir(path).place(|| format!("cannot list {}", self.store.display(path)))?.prefixes;
        let paths: Vec<_> =
            names.iter().filter(|name| check_key(name).is_ok()).map(|name| metadata_key(path, name)).collect();
        let found = self.each(&paths, |path| {
            let Some(kind) = self.folder(path).kind()? else { return Ok(Vec::new()) };
            let mut members = vec![(path.clone(), kind)];
            match (kind, deeper) {
                (NodeKind::Array, _) | (NodeKind::Group, 0) => {}
                (NodeKind::Group, 1) => {
                    return Err(Error::store(format!(
                        "{} lies {DEPTH} levels deep: is there a link that leads back?",
                        self.store.display(path)
                    )));
                }
                (NodeKind::Group, _) => members.extend(self.list(path, deeper - 1)?),
            }
            Ok(members)
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// What the nearest group above that has consolidated metadata knows.
    fn noted_above(&self) -> Result<Option<Noted>> {
        let mut above = self.path.as_str();
        while let Some(end) = above.rfind('/').or((!above.is_empty()).then_some(0)) {
            above = &above[..end];
            let group = match crate::metadata::open_group(&*self.store, above) {
                Ok(group) => group,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Some(metadata) = self.folder(above).consolidated(&group)? {
                let path = self.path[above.len()..].trim_start_matches('/').to_owned();
                return Ok(Some(Noted { metadata: metadata.into(), path }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Node, open_array, open_node};
    use crate::store::{Listing, MemoryStore, Object, Profile, WritableStore};

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

        fn profile(&self) -> &Profile {
            self.0.profile()
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

    /// What a group of Zarr V3 and one of V2 look like that hold the metadata of all that lies below.
    fn consolidated() -> [Arc<MemoryStore>; 2] {
        let v3 = format!(
            r#"{{"zarr_format": 3, "node_type": "group", "consolidated_metadata": {{"kind": "inline", "metadata":
            {{"b": {ARRAY}, "a": {GROUP}, "a/z": {ARRAY}, "a-b": {GROUP}}}}}}}"#
        );
        let v2 = format!(
            r#"{{"zarr_consolidated_format": 1, "metadata": {{".zgroup": {{}}, "b/.zarray": {ZARRAY}, "b/.zattrs":
            {{"x": 1}}, "a/z/.zarray": {ZARRAY}, "a/.zgroup": {{"zarr_format": 2}}, "a-b/.zgroup": {{"zarr_format": 2}}}}}}"#
        );
        let old = r#"{"zarr_format": 2}"#;
        [
            store(&[("zarr.json", &v3), ("a/zarr.json", GROUP), ("c/zarr.json", ARRAY)]),
            store(&[(".zgroup", old), ("a/.zgroup", old), ("c/.zarray", ZARRAY), (".zmetadata", &v2)]),
        ]
    }

    /// A store that counts what is opened in it.
    #[derive(Debug)]
    struct Counted(Arc<MemoryStore>, std::sync::atomic::AtomicUsize);

    impl Store for Counted {
        fn open(&self, key: &str) -> Result<Box<dyn Object>> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.open(key)
        }

        fn display(&self, key: &str) -> String {
            self.0.display(key)
        }

        fn profile(&self) -> &Profile {
            self.0.profile()
        }
    }

    #[test]
    fn consolidated_metadata_are_all_that_is_read() {
        for store in consolidated() {
            let counted = Arc::new(Counted(store.clone(), 0.into()));
            let root = Group::open(counted.clone(), "").unwrap();
            let opened = counted.1.load(std::sync::atomic::Ordering::Relaxed);
            assert!(root.is_consolidated());
            assert_eq!(show(&root.children().unwrap()), "a:G a-b:G b:A ");
            assert_eq!(show(&root.members(true).unwrap()), "a:G a/z:A a-b:G b:A ");
            let Member::Group(a) = root.member("a/").unwrap() else { panic!("a group") };
            assert_eq!((a.path(), a.is_consolidated(), &*show(&a.members(true).unwrap())), ("a", true, "z:A "));
            let Member::Array(z) = a.member("z").unwrap() else { panic!("an array") };
            assert_eq!((z.path(), z.shape()), ("a/z", [4].as_slice()));
            assert!(matches!(root.member("a/z").unwrap(), Member::Array(_)));
            assert_eq!(root.member("c").unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(a.member("../b").unwrap_err().kind(), ErrorKind::NotFound);
            let Member::Array(b) = root.member("b").unwrap() else { panic!("an array") };
            assert_eq!(b.attributes().len(), usize::from(root.zarr_format() == 2));
            assert_eq!(counted.1.load(std::sync::atomic::Ordering::Relaxed), opened);
            assert_eq!(opened, if root.zarr_format() == 2 { 5 } else { 1 });

            let root = Group::open_with(store.clone(), "", UseConsolidated::Never).unwrap();
            assert_eq!(show(&root.members(true).unwrap()), "a:G c:A ");
            assert!(matches!(root.member("c").unwrap(), Member::Array(_)));
            let Member::Group(a) = root.member("a").unwrap() else { panic!("a group") };
            assert_eq!(a.use_consolidated(), UseConsolidated::Never);
            let always = Group::open_with(store.clone(), "", UseConsolidated::Always).unwrap();
            assert!(always.is_consolidated() && !always.without_consolidated().is_consolidated());
            let error = Group::open_with(store, "a", UseConsolidated::Always).unwrap_err();
            assert_eq!(error.message(), "memory:/a has no consolidated metadata");
        }
    }

    #[test]
    fn consolidated_metadata_stand_in_for_a_listing() {
        for store in consolidated() {
            let a = Group::open(Arc::new(Unlisted(store.clone())), "a").unwrap();
            assert_eq!(show(&a.members(true).unwrap()), "z:A ");
            let alone = Group::open_with(Arc::new(Unlisted(store)), "a", UseConsolidated::Never).unwrap();
            assert_eq!(alone.members(true).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        let unlisted = Group::open(Arc::new(Unlisted(hierarchy())), "a").unwrap();
        assert_eq!(unlisted.children().unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn consolidated_metadata_that_are_wrong_are_errors() {
        let group = |inside: &str| {
            store(&[(
                "zarr.json",
                &format!(r#"{{"zarr_format": 3, "node_type": "group", "consolidated_metadata": {inside}}}"#),
            )])
        };
        let inline = |nodes: &str| group(&format!(r#"{{"kind": "inline", "metadata": {nodes}}}"#));
        let v2 = |text: &str| store(&[(".zgroup", r#"{"zarr_format": 2}"#), (".zmetadata", text)]);
        for (store, message) in [
            (group("5"), "consolidated_metadata: 5 is not an object"),
            (group("{}"), "consolidated_metadata: \"kind\" is missing"),
            (group(r#"{"kind": "far"}"#), "consolidated_metadata: unknown kind \"far\""),
            (inline("[]"), "metadata: [] is not an object"),
            (inline(r#"{"a": 1}"#), "\"a\": 1 is not an object"),
            (inline(r#"{"a": {"zarr_format": 3}}"#), "\"a\": \"node_type\" is missing"),
            (inline(&format!(r#"{{"../a": {GROUP}}}"#)), "\"../a\" is not the path of an array or group"),
            (inline(&format!(r#"{{"/etc": {GROUP}}}"#)), "\"/etc\" is not the path"),
            (inline(&format!(r#"{{"": {GROUP}}}"#)), "\"\" is not the path"),
            (inline(&format!(r#"{{"a/b": {GROUP}, "a": {ARRAY}}}"#)), "\"a/b\" lies in \"a\", which is an array"),
            (v2(r#"{"zarr_consolidated_format": 2, "metadata": {}}"#), "zarr_consolidated_format 2; there is 1"),
            (v2(r#"{"zarr_consolidated_format": 1}"#), "metadata: null is not an object"),
            (v2(r#"{"metadata": {"a/.zarray": []}}"#), "\"a/.zarray\": [] is not an object"),
            (v2(r#"{"metadata": {"a/../b/.zgroup": {"zarr_format": 2}}}"#), "\"a/../b\" is not the path"),
            (v2("x"), "memory:/.zmetadata: cannot read the JSON"),
        ] {
            let error = Group::open(store.clone(), "").unwrap_err();
            assert!(error.message().contains(message) && error.message().starts_with("memory:/"), "{error}");
            assert!(Group::open_with(store, "", UseConsolidated::Never).is_ok());
        }
        for nothing in ["null", r#"{"kind": "far", "must_understand": false}"#] {
            assert!(!Group::open(group(nothing), "").unwrap().is_consolidated());
        }
        // What is wrong with one node is said where it is opened.
        let transformed = ARRAY.replace(r#""codecs""#, r#""storage_transformers": [{"name": "twist"}], "codecs""#);
        let known = ARRAY.replace(r#""codecs""#, r#""new": {"must_understand": false}, "codecs""#);
        let unknown = ARRAY.replace(r#""codecs""#, r#""new": {"name": "x"}, "codecs""#);
        let nodes = format!(r#"{{"twisted": {transformed}, "known": {known}, "unknown": {unknown}}}"#);
        let root = Group::open(inline(&nodes), "").unwrap();
        assert_eq!(root.children().unwrap().len(), 3);
        let error = root.member("twisted").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("memory:/twisted: ") && error.message().contains("\"twist\""), "{error}");
        assert!(root.member("unknown").unwrap_err().message().contains("unknown member \"new\""));
        assert!(root.member("known").is_ok());
        let opened = root.open_members(&["known".into(), "no".into(), "twisted".into()]);
        assert_eq!(opened.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
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

            fn profile(&self) -> &Profile {
                self.0.profile()
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
