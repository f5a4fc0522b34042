//! Stores, including Python mappings; see `tegula::store`.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyMapping};
use tegula::store::{
    Exclusion, FilesystemStore, Guard, Identity, InMemory, Listing, MemoryStore, Object, Profile, ReadOnlyStore,
    WritableStore, ZipStore, ZipWriter,
};
use tegula::{Error, Result};

use crate::call::{attached, detached, reaching};
use crate::ending::attach;
use crate::errors::wrapped;
use crate::extract::bytes;

/// The native part of the stores in `tegula.stores`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Store(pub(crate) Arc<dyn tegula::store::Store>);

/// A zip archive that is being written.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct ZipArchive(Arc<ZipWriter>);

#[pymethods]
impl ZipArchive {
    /// Begins an archive; with `append`, it starts with the entries of the one that is there.
    #[new]
    fn new(py: Python<'_>, path: PathBuf, append: bool) -> PyResult<Self> {
        let begin = || if append { ZipWriter::append(path) } else { ZipWriter::create(path) };
        detached(py, begin).map(|writer| Self(Arc::new(writer)))
    }

    /// The entries as a store.
    fn store(&self) -> Store {
        Store(self.0.clone())
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Completes the archive.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.0.finish())
    }

    /// Gives up the archive.
    fn discard(&self) {
        self.0.discard();
    }
}

/// Returns a unique name for a temporary file.
#[pyfunction]
pub(crate) fn temporary_name() -> String {
    tegula::store::temporary_name()
}

/// A locked key of a store.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Lock(Mutex<Option<Guard>>);

#[pymethods]
impl Lock {
    /// Unlocks the key.
    fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Maximum size of an object that `get` reads.
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

    /// Opens an archive that is an object of another store.
    #[staticmethod]
    fn zip_in(py: Python<'_>, store: &Bound<'_, Self>, key: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        detached(py, || Ok(Self(Arc::new(ZipStore::new(store, key)?))))
    }

    #[staticmethod]
    fn mapping(mapping: Bound<'_, PyMapping>) -> Self {
        Self(Arc::new(Mapping::new(&mapping)))
    }

    /// Returns a store of the Python object `reader`, whose method `read(offset, length)` returns bytes. `beside` is the
    /// store of all other keys.
    #[staticmethod]
    fn file_object(reader: Py<PyAny>, key: String, name: String, size: u64, beside: Option<&Bound<'_, Self>>) -> Self {
        let beside = beside.map(|store| store.get().0.clone());
        Self(Arc::new(crate::file_object::FileObjectStore::new(reader, key, name, size, beside)))
    }

    /// Returns a read-only store of the same objects. Writes raise an error with the reason.
    fn read_only(&self, reason: &str) -> Self {
        Self(Arc::new(ReadOnlyStore::new(self.0.clone(), reason)))
    }

    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let key = key.to_owned();
        let found = reaching(py, &self.0, move |store| tegula::store::get(&**store, &key, LIMIT))?;
        found.map(|found| bytes(py, &found)).transpose()
    }

    fn exists(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        let key = key.to_owned();
        reaching(py, &self.0, move |store| Ok(store.open(&key)?.stat()?.is_some()))
    }

    /// Raises an error that names the key if the store is read-only.
    fn check_writable(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        attached(py, || self.0.check_writable(key))
    }

    fn set(&self, py: Python<'_>, key: &str, value: PyBackedBytes) -> PyResult<()> {
        let key = key.to_owned();
        reaching(py, &self.0, move |store| store.set(&key, &value))
    }

    fn erase(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let key = key.to_owned();
        reaching(py, &self.0, move |store| store.erase(&key))
    }

    /// Removes all objects below a prefix, those of the names `first` before all others.
    fn erase_below(&self, py: Python<'_>, prefix: &str, first: Vec<String>) -> PyResult<()> {
        let prefix = prefix.to_owned();
        reaching(py, &self.0, move |store| {
            let first: Vec<_> = first.iter().map(String::as_str).collect();
            store.erase_below(&prefix, &first)
        })
    }

    /// Locks a key against other writers until the lock is closed; None if another writer has locked it.
    fn try_lock(&self, py: Python<'_>, key: &str) -> PyResult<Option<Lock>> {
        Ok(detached(py, || self.0.try_lock(key))?.map(|guard| Lock(Mutex::new(Some(guard)))))
    }

    /// Returns all keys below a prefix.
    fn keys(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<String>> {
        let prefix = prefix.to_owned();
        reaching(py, &self.0, move |store| tegula::store::keys_below(&**store, &prefix))
    }

    /// Returns the names of objects and of deeper prefixes directly under a prefix.
    fn list_dir(&self, py: Python<'_>, prefix: &str) -> PyResult<(Vec<String>, Vec<String>)> {
        let listing = detached(py, || self.0.list_dir(prefix))?;
        Ok((listing.keys, listing.prefixes))
    }

    /// Returns the temporary files that killed writers left below a prefix; with `remove`, removes them.
    fn leftovers(&self, py: Python<'_>, prefix: &str, remove: bool) -> PyResult<Vec<String>> {
        detached(py, || self.0.leftovers(prefix, remove))
    }

    fn display(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        attached(py, || Ok(self.0.display(key)))
    }
}

/// A Python mapping of keys to bytes. Other code may change it at any time.
struct Mapping {
    objects: Py<PyMapping>,
    profile: Profile,
}

impl Mapping {
    fn new(mapping: &Bound<'_, PyMapping>) -> Self {
        // Only this process can change a dict.
        let exclusion = if mapping.is_instance_of::<PyDict>() { Exclusion::Everyone } else { Exclusion::Process };
        // Writers to the same mapping wait for each other. If another mapping gets the address later, the versions of
        // its values differ.
        let identity = Identity::of(("mapping", mapping.as_ptr().addr()));
        let thread_bound = !mapping.is_exact_instance_of::<PyDict>();
        let profile = Profile { identity, exclusion, merge_gap: 0, thread_bound, ..Profile::default() };
        Self { objects: mapping.clone().unbind(), profile }
    }

    /// Calls a function with the mapping. Errors name the key, or the mapping if the key is empty.
    fn attach<T>(&self, key: &str, call: impl FnOnce(&Bound<'_, PyMapping>) -> PyResult<T>) -> Result<T> {
        attach(|py| {
            call(self.objects.bind(py)).map_err(|error| {
                let location = if key.is_empty() { format!("{self:?}") } else { format!("mapping:/{key}") };
                wrapped(py, error, |message| Error::store(format!("{location}: {message}")))
            })
        })?
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mapping")
    }
}

/// Hashes a value as its version, as mappings have no versions or times of modification.
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

impl tegula::store::Store for Mapping {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let bytes = self.attach(key, |mapping| match mapping.get_item(key) {
            Ok(value) => Ok(Some(value.extract::<PyBackedBytes>()?)),
            Err(error) if error.is_instance_of::<PyKeyError>(mapping.py()) => Ok(None),
            Err(error) => Err(error),
        })?;
        Ok(Box::new(bytes.map_or_else(InMemory::missing, |bytes| {
            let version = version(&bytes);
            InMemory::new(bytes, version)
        })))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        format!("mapping:/{key}")
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let keys: Vec<String> = self.attach("", |mapping| mapping.keys()?.extract())?;
        Ok(tegula::store::listing(keys.iter().map(String::as_str), prefix))
    }

    fn list_below(&self, prefix: &str) -> Result<Option<Vec<String>>> {
        let mut keys: Vec<String> = self.attach("", |mapping| mapping.keys()?.extract())?;
        keys.retain(|key| prefix.is_empty() || key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')));
        Ok(Some(keys))
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for Mapping {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        tegula::store::check_key(key)?;
        self.attach(key, |mapping| mapping.set_item(key, bytes(mapping.py(), value)?))
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.attach(key, |mapping| match mapping.del_item(key) {
            Err(error) if error.is_instance_of::<PyKeyError>(mapping.py()) => Ok(()),
            other => other,
        })
    }
}
