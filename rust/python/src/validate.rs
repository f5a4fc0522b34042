//! Looking at all that is stored; see `tegula.validate`.

use pyo3::prelude::*;
use tegula::{Problem, ProblemKind};

use crate::call::detached;
use crate::store::Store;

/// The metadata and keys below a path, and the chunks that are yet to be decoded.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Validation(tegula::Validation);

/// The kind, the key and what is wrong.
type Found = (&'static str, String, String);

fn found(problem: Problem) -> Found {
    let kind = match problem.kind {
        ProblemKind::Metadata => "metadata",
        ProblemKind::Chunk => "chunk",
        ProblemKind::Outside => "outside",
        ProblemKind::Stray => "stray",
        ProblemKind::Leftover => "leftover",
    };
    (kind, problem.place, problem.message)
}

#[pymethods]
impl Validation {
    #[new]
    fn new(py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        detached(py, || tegula::Validation::new(&store, path)).map(Self)
    }

    #[getter]
    fn arrays(&self) -> usize {
        self.0.arrays().len()
    }

    #[getter]
    fn groups(&self) -> usize {
        self.0.groups()
    }

    #[getter]
    fn chunks(&self) -> usize {
        self.0.chunks()
    }

    fn problems(&self) -> Vec<Found> {
        self.0.problems().iter().cloned().map(found).collect()
    }

    /// Decodes some chunks, by number.
    fn check(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<Vec<Found>> {
        Ok(detached(py, || self.0.check(start..stop))?.into_iter().map(found).collect())
    }
}
