//! Groups, and whatever lies at a path; see `tegula::Group`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tegula::metadata::{GroupMetadata, Node, NodeKind};

use crate::array::Array;
use crate::call::{attached, detached};
use crate::json::{object_from_python, object_to_python, to_python};
use crate::store::Store;

/// The native part of `tegula.Group`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Group(tegula::Group);

#[pymethods]
impl Group {
    #[staticmethod]
    fn open(py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        detached(py, || tegula::Group::open(store, path)).map(Self)
    }

    #[staticmethod]
    fn create(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        path: &str,
        zarr_format: u8,
        attributes: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let store = store.get().0.clone();
        let attributes = object_from_python(attributes)?;
        let metadata =
            if zarr_format == 3 { GroupMetadata::new_v3(attributes) } else { GroupMetadata::new_v2(attributes) };
        detached(py, || tegula::Group::create(store, path, metadata)).map(Self)
    }

    #[getter]
    fn path(&self) -> &str {
        self.0.path()
    }

    #[getter]
    fn name(&self) -> String {
        self.0.store().display(self.0.path())
    }

    #[getter]
    fn zarr_format(&self) -> u8 {
        self.0.zarr_format()
    }

    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        object_to_python(py, self.0.attributes())
    }

    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.metadata().document)
    }

    fn members(&self, py: Python<'_>, recursive: bool) -> PyResult<Vec<(String, &'static str)>> {
        let members = detached(py, || self.0.members(recursive))?;
        let kind = |kind| if kind == NodeKind::Array { "array" } else { "group" };
        Ok(members.into_iter().map(|(path, node)| (path, kind(node))).collect())
    }
}

/// The path of a node as keys begin with it.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn node_path(py: Python<'_>, path: &str) -> PyResult<String> {
    attached(py, || tegula::metadata::node_path(path))
}

/// Opens the array or group at a path.
#[pyfunction]
pub(crate) fn open_node<'py>(py: Python<'py>, store: &Bound<'py, Store>, path: &str) -> PyResult<Bound<'py, PyAny>> {
    let store = store.get().0.clone();
    match detached(py, || tegula::metadata::open_node(&*store, path))? {
        Node::Array(metadata) => {
            let array = detached(py, || tegula::Array::new_with_metadata(store, path, *metadata))?;
            Ok(Bound::new(py, Array::new(py, array)?)?.into_any())
        }
        Node::Group(metadata) => {
            let group = detached(py, || tegula::Group::new_with_metadata(store, path, *metadata))?;
            Ok(Bound::new(py, Group(group))?.into_any())
        }
    }
}
