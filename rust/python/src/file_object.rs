//! A Python file object as a store of one object, read in parts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tegula::store::{ByteRange, Identity, InMemory, Object, Profile, Stat, Store};
use tegula::{Error, Result};

use crate::ending::attach;
use crate::errors::wrapped;

/// A store that has a file object under one key, and the objects of another store under all others.
pub(crate) struct FileObjectStore {
    file: Arc<FileObject>,
    key: String,
    beside: Option<Arc<dyn Store>>,
    profile: Profile,
}

/// A Python object with a method `read(offset, length)` that returns bytes.
struct FileObject {
    reader: Py<PyAny>,
    name: String,
    stat: Stat,
}

impl FileObjectStore {
    pub(crate) fn new(reader: Py<PyAny>, key: String, name: String, size: u64, beside: Option<Arc<dyn Store>>) -> Self {
        let stat = Stat { size, version: 0, settled: true };
        let profile = Profile { identity: Identity::fresh(), ..Profile::default() };
        Self { file: Arc::new(FileObject { reader, name, stat }), key, beside, profile }
    }
}

impl fmt::Debug for FileObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file.name)
    }
}

impl Store for FileObjectStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        if key == self.key {
            return Ok(Box::new(Handle(self.file.clone())));
        }
        match &self.beside {
            Some(store) => store.open(key),
            None => Ok(Box::new(InMemory::<PyBackedBytes>::missing())),
        }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        match &self.beside {
            _ if key == self.key => self.file.name.clone(),
            Some(store) => store.display(key),
            None => format!("{key} beside {}", self.file.name),
        }
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.beside.as_ref()?.local_path(key)
    }
}

struct Handle(Arc<FileObject>);

impl Object for Handle {
    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.0.stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let FileObject { reader, name, stat } = &*self.0;
        let range = ByteRange::Range { offset, length: into.len() as u64 };
        tegula::store::resolve(range, stat.size, u64::MAX)?;
        let read = |py: Python<'_>| -> PyResult<PyBackedBytes> {
            reader.call_method1(py, "read", (offset, into.len()))?.extract(py).map_err(Into::into)
        };
        let bytes = attach(|py| {
            read(py).map_err(|error| wrapped(py, error, |message| Error::store(format!("{name}: {message}"))))
        })??;
        if bytes.len() != into.len() {
            let (found, wanted) = (bytes.len(), into.len());
            return Err(Error::corrupt(format!("{name} ends early: {found} bytes instead of {wanted} at {offset}")));
        }
        into.copy_from_slice(&bytes);
        Ok(Some(*stat))
    }
}
