//! Stores; see `tegula::store`. A mapping of Python can be one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyMapping};
use tegula::store::{
    ByteRange, Exclusion, FilesystemStore, Listing, MemoryStore, Object, ReadOnlyStore, Stat, ZipStore,
};
use tegula::{Error, Result};

use crate::call::{attached, detached};

/// Objects under keys; what users see of it is in `tegula.stores`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Store(pub(crate) Arc<dyn tegula::store::Store>);

/// No object is read whole that is larger.
const LIMIT: u64 = 1 << 62;

#[pymethods]
impl Store {
    #[staticmethod]
    fn memory() -> Self {
        Self(Arc::new(MemoryStore::new()))
    }

    #[staticmethod]
    fn filesystem(root: PathBuf, fsync: bool) -> Self {
        Self(Arc::new(FilesystemStore::new(root).with_fsync(fsync)))
    }

    #[staticmethod]
    fn zip(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detached(py, || Ok(Self(Arc::new(ZipStore::open(path)?))))
    }

    /// The archive that is an object of another store.
    #[staticmethod]
    fn zip_in(py: Python<'_>, store: &Bound<'_, Self>, key: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        detached(py, || Ok(Self(Arc::new(ZipStore::new(store, key)?))))
    }

    #[staticmethod]
    fn mapping(mapping: Bound<'_, PyMapping>) -> Self {
        Self(Arc::new(Mapping::new(&mapping)))
    }

    /// The same objects, for reading; the error of a write says the reason.
    fn read_only(&self, reason: &str) -> Self {
        Self(Arc::new(ReadOnlyStore::new(self.0.clone(), reason)))
    }

    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let bytes = detached(py, || tegula::store::get(&*self.0, key, LIMIT))?;
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn exists(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        detached(py, || Ok(self.0.open(key)?.stat()?.is_some()))
    }

    fn set(&self, py: Python<'_>, key: &str, value: PyBackedBytes) -> PyResult<()> {
        detached(py, || self.0.set(key, &value))
    }

    fn erase(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        detached(py, || self.0.erase(key))
    }

    /// Removes all objects below a prefix.
    fn erase_below(&self, py: Python<'_>, prefix: &str) -> PyResult<()> {
        detached(py, || tegula::store::erase_below(&*self.0, prefix))
    }

    /// All keys below a prefix.
    fn keys(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<String>> {
        detached(py, || tegula::store::keys_below(&*self.0, prefix))
    }

    /// What writers that were killed left below a prefix; with `remove`, it goes.
    fn leftovers(&self, py: Python<'_>, prefix: &str, remove: bool) -> PyResult<Vec<String>> {
        detached(py, || self.0.leftovers(prefix, remove))
    }

    fn display(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        attached(py, || Ok(self.0.display(key)))
    }
}

/// A mapping of keys to bytes that Python code may change at any time.
struct Mapping {
    objects: Py<PyMapping>,
    identity: u64,
    /// Whether it is a dict, which nobody outside this process can change.
    ours: bool,
}

impl Mapping {
    fn new(mapping: &Bound<'_, PyMapping>) -> Self {
        // All stores on one mapping are the same, for writers that wait for each other. Where another comes to lie at the
        // address, caches tell it apart by its values.
        let identity = mapping.as_ptr().addr() as u64 | 1 << 62;
        Self { ours: mapping.is_instance_of::<PyDict>(), objects: mapping.clone().unbind(), identity }
    }

    /// Asks the mapping for a key, or with `""` for all.
    fn attach<T>(&self, key: &str, call: impl FnOnce(&Bound<'_, PyMapping>) -> PyResult<T>) -> Result<T> {
        let result = Python::try_attach(|py| {
            call(self.objects.bind(py)).map_err(|error| {
                let place = if key.is_empty() { format!("{self:?}") } else { format!("mapping:/{key}") };
                Error::store(format!("{place}: {error}"))
            })
        });
        result.unwrap_or_else(|| Err(Error::store("Python is on its way out")))
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mapping")
    }
}

/// Changes with the bytes: a mapping tells nothing of its own by which a new value could be told from an old one.
fn version(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: [u8; 8]| (lane ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR).rotate_left(29);
    let mut lanes = [bytes.len() as u64, 1, 2, 3];
    let (words, rest) = bytes.as_chunks::<8>();
    let (groups, words) = words.as_chunks::<4>();
    for group in groups {
        for (lane, word) in lanes.iter_mut().zip(group) {
            *lane = mix(*lane, *word);
        }
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = words.iter().chain([&last]).fold(0, |hash, word| mix(hash, *word));
    lanes.iter().fold(hash, |hash, lane| mix(hash, lane.to_le_bytes()))
}

struct Value(Option<(PyBackedBytes, Stat)>);

impl Object for Value {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some((bytes, stat)) = &self.0 else { return Ok(None) };
        let (offset, length) = tegula::store::resolve(range, stat.size, limit)?;
        into.extend_from_slice(&bytes[offset as usize..][..length]);
        Ok(Some(*stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let Some((bytes, stat)) = &self.0 else { return Ok(None) };
        let range = ByteRange::Range { offset, length: into.len() as u64 };
        let (offset, length) = tegula::store::resolve(range, stat.size, u64::MAX)?;
        into.copy_from_slice(&bytes[offset as usize..][..length]);
        Ok(Some(*stat))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(self.0.as_ref().map(|(_, stat)| *stat))
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|(bytes, _)| &**bytes)
    }
}

impl tegula::store::Store for Mapping {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let bytes = self.attach(key, |mapping| match mapping.get_item(key) {
            Ok(value) => Ok(Some(value.extract::<PyBackedBytes>()?)),
            Err(error) if error.is_instance_of::<PyKeyError>(mapping.py()) => Ok(None),
            Err(error) => Err(error),
        })?;
        let value = bytes.map(|bytes| {
            let stat = Stat { size: bytes.len() as u64, version: version(&bytes), settled: true };
            (bytes, stat)
        });
        Ok(Box::new(Value(value)))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        tegula::store::check_key(key)?;
        self.attach(key, |mapping| mapping.set_item(key, PyBytes::new(mapping.py(), value)))
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.attach(key, |mapping| match mapping.del_item(key) {
            Err(error) if error.is_instance_of::<PyKeyError>(mapping.py()) => Ok(()),
            other => other,
        })
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let keys: Vec<String> = self.attach("", |mapping| mapping.keys()?.extract())?;
        Ok(tegula::store::listing(keys.iter().map(String::as_str), prefix))
    }

    fn exclusion(&self) -> Exclusion {
        if self.ours { Exclusion::Everyone } else { Exclusion::Process }
    }

    fn merge_gap(&self) -> u64 {
        0
    }

    fn display(&self, key: &str) -> String {
        format!("mapping:/{key}")
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}
