use super::*;
use crate::metadata::{Node, Number, open_array, open_node};
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
    members.iter().flat_map(|(path, kind)| [&**path, if *kind == NodeKind::Array { ":A " } else { ":G " }]).collect()
}

/// A store that cannot be listed, such as a web server.
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
    assert_eq!(root.zarr_format(), 3);
    assert!(matches!(Number::of(&root.attributes()["a"]), Some(Number::Float(number)) if number.is_nan()));
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
        let error = open_node(&*store, path, None).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, message));
    }
    assert_eq!(Group::open(store.clone(), "b").unwrap_err().message(), "memory:/b is an array, not a group");
    assert_eq!(open_array(&*store, "a", None).unwrap_err().message(), "memory:/a is a group, not an array");
    assert!(matches!(open_node(&*store, "b", None).unwrap(), Node::Array(_)));
    store.set("b/zarr.json", ARRAY.replace("[4]", "[-4]").as_bytes()).unwrap();
    let error = open_node(&*store, "b", None).unwrap_err();
    assert!(error.message().starts_with("memory:/b/zarr.json: shape: -4"), "{error}");
}

/// Returns a store of Zarr V3 and one of V2, whose root groups have consolidated metadata.
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

/// A store that counts the opened keys.
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
        (inline(&format!(r#"{{"a/b": {GROUP}, "a": {ARRAY}}}"#)), "\"a/b\" is inside \"a\", which is an array"),
        (v2(r#"{"zarr_consolidated_format": 2, "metadata": {}}"#), "unknown zarr_consolidated_format 2"),
        (v2(r#"{"zarr_consolidated_format": 1}"#), "metadata: null is not an object"),
        (v2(r#"{"metadata": {"a/.zarray": []}}"#), "\"a\": [] is not an object"),
        (v2(r#"{"metadata": {"a/../b/.zgroup": {"zarr_format": 2}}}"#), "\"a/../b\" is not the path"),
        (v2("x"), "memory:/.zmetadata: cannot read the JSON"),
    ] {
        // Copies that cannot be used are named, and the store is listed, unless they were asked for.
        let root = Group::open(store.clone(), "");
        let damage = |root: &Group| match root.consolidated_problem() {
            Some(error) => Some(error.clone()),
            None => root.survey(true).unwrap().problems.into_iter().next().map(|(_, error)| error),
        };
        let error = root.as_ref().map_or_else(|error| Some(error.clone()), damage).unwrap();
        assert!(error.message().contains(message), "{error}");
        assert!(Group::open_with(store, "", UseConsolidated::Never).is_ok());
    }
    for nothing in ["null", r#"{"kind": "far", "must_understand": false}"#] {
        assert!(!Group::open(group(nothing), "").unwrap().is_consolidated());
    }
    // An invalid node fails only when it is opened.
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
