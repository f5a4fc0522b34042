//! Groups, and opening of nodes; see `tegula::Group`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tegula::metadata::{AttributesChange, GroupMetadata, NodeKind};
use tegula::{Member, UseConsolidated};

use crate::array::Array;
use crate::call::{attached, detached, reaching};
use crate::errors::OrRaise;
use crate::json::{attributes_from_python, member, object_to_python, to_python};
use crate::store::Store;

/// The native part of `tegula.Group`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Group(pub(crate) tegula::Group);

impl Group {
    fn reaching<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&tegula::Group) -> tegula::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let group = self.0.clone();
        reaching(py, self.0.store(), move |_| work(&group))
    }
}

#[pymethods]
impl Group {
    #[staticmethod]
    #[pyo3(signature = (store, path, use_consolidated, zarr_format=None))]
    fn open(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        path: &str,
        use_consolidated: Option<bool>,
        zarr_format: Option<u8>,
    ) -> PyResult<Self> {
        let path = path.to_owned();
        let use_consolidated = match use_consolidated {
            None => UseConsolidated::IfThere,
            Some(true) => UseConsolidated::Always,
            Some(false) => UseConsolidated::Never,
        };
        let open = move |store: &Arc<dyn tegula::store::Store>| {
            tegula::Group::open_as(store.clone(), &path, use_consolidated, zarr_format)
        };
        reaching(py, &store.get().0, open).map(Self)
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
        let attributes = attributes_from_python(attributes)?;
        let metadata =
            if zarr_format == 3 { GroupMetadata::new_v3(attributes) } else { GroupMetadata::new_v2(attributes) };
        detached(py, || tegula::Group::create(store, path, metadata)).map(Self)
    }

    /// Returns a group whose metadata cannot be read, to list its members.
    #[staticmethod]
    fn unread(py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        let metadata = GroupMetadata::new_v3(tegula::metadata::Attributes::new());
        attached(py, || tegula::Group::new_with_metadata(store, path, metadata)).map(Self)
    }

    #[getter]
    fn path(&self) -> &str {
        self.0.path()
    }

    #[getter]
    fn name(&self) -> String {
        self.0.name()
    }

    #[getter]
    fn zarr_format(&self) -> u8 {
        self.0.zarr_format()
    }

    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        object_to_python(py, self.0.attributes())
    }

    fn attribute<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        member(py, self.0.attributes(), name)
    }

    fn attribute_names(&self) -> Vec<String> {
        self.0.attributes().keys().cloned().collect()
    }

    /// Changes the stored attributes with one write, and returns the changed group.
    fn change_attributes(
        &self,
        py: Python<'_>,
        set: &Bound<'_, PyDict>,
        remove: Vec<String>,
        clear: bool,
    ) -> PyResult<Self> {
        let change = AttributesChange { clear, remove, set: attributes_from_python(set)? };
        detached(py, || self.0.change_attributes(&change)).map(Self)
    }

    /// Revision of the metadata, counted per process.
    #[getter]
    fn revision(&self) -> u64 {
        self.0.revision()
    }

    /// Stores the metadata of all members in the group, and returns a group that uses it.
    fn consolidate(&self, py: Python<'_>) -> PyResult<Self> {
        self.reaching(py, tegula::Group::consolidate).map(Self)
    }

    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.metadata().document)
    }

    fn members(&self, py: Python<'_>, recursive: bool) -> PyResult<Vec<(String, &'static str)>> {
        Ok(named(self.reaching(py, move |group| group.members(recursive))?))
    }

    /// Returns the kinds of members by path, and the paths and messages of what is damaged.
    #[allow(clippy::type_complexity)] // a list of pairs, twice
    fn survey(
        &self,
        py: Python<'_>,
        recursive: bool,
    ) -> PyResult<(Vec<(String, &'static str)>, Vec<(String, String)>)> {
        let found = self.reaching(py, move |group| group.survey(recursive))?;
        let problems = found.problems.into_iter().map(|(path, error)| (path, error.message().to_owned())).collect();
        Ok((named(found.nodes), problems))
    }

    /// Why the consolidated metadata of this group are not used, if they are damaged.
    #[getter]
    fn consolidated_problem(&self) -> Option<String> {
        self.0.consolidated_problem().map(|error| error.message().to_owned())
    }

    /// Whether members are listed in consolidated metadata.
    #[getter]
    fn is_consolidated(&self) -> bool {
        self.0.is_consolidated()
    }

    #[getter]
    fn use_consolidated(&self) -> Option<bool> {
        match self.0.use_consolidated() {
            UseConsolidated::IfThere => None,
            UseConsolidated::Always => Some(true),
            UseConsolidated::Never => Some(false),
        }
    }

    fn without_consolidated(&self) -> Self {
        Self(self.0.without_consolidated())
    }

    fn member<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyAny>> {
        let path = path.to_owned();
        member_to_python(py, self.reaching(py, move |group| group.member(&path))?)
    }

    /// Opens many members; for a member that cannot be opened, returns the exception.
    fn open_members<'py>(&self, py: Python<'py>, paths: Vec<String>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let members = self.reaching(py, move |group| Ok(group.open_members(&paths)))?;
        let convert = |member: tegula::Result<Member>| match member.or_raise(py) {
            Ok(member) => member_to_python(py, member),
            Err(error) => Ok(error.into_value(py).into_bound(py).into_any()),
        };
        members.into_iter().map(convert).collect()
    }
}

fn named(members: Vec<(String, NodeKind)>) -> Vec<(String, &'static str)> {
    let kind = |kind| match kind {
        NodeKind::Array => "array",
        NodeKind::Group => "group",
        NodeKind::Damaged => "damaged",
    };
    members.into_iter().map(|(path, node)| (path, kind(node))).collect()
}

/// Brings the consolidated metadata of all groups above a path up to date, after a folder was moved or erased.
#[pyfunction]
pub(crate) fn refresh_consolidated(py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<()> {
    let store = store.get().0.clone();
    detached(py, || tegula::refresh_consolidated(&store, path))
}

/// Normalizes the path of a node to a prefix of keys.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn node_path(py: Python<'_>, path: &str) -> PyResult<String> {
    attached(py, || tegula::metadata::node_path(path))
}

/// Opens the array or group at a path.
#[pyfunction]
#[pyo3(signature = (store, path, zarr_format=None))]
pub(crate) fn open_node<'py>(
    py: Python<'py>,
    store: &Bound<'py, Store>,
    path: &str,
    zarr_format: Option<u8>,
) -> PyResult<Bound<'py, PyAny>> {
    let path = path.to_owned();
    member_to_python(py, reaching(py, &store.get().0, move |store| tegula::open_as(store.clone(), &path, zarr_format))?)
}

fn member_to_python(py: Python<'_>, member: Member) -> PyResult<Bound<'_, PyAny>> {
    Ok(match member {
        Member::Array(array) => Bound::new(py, Array::new(py, array)?)?.into_any(),
        Member::Group(group) => Bound::new(py, Group(group))?.into_any(),
    })
}
