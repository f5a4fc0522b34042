//! The Python module `tegula._tegula`: extracts arguments, releases the GIL, calls the core and converts results. Its
//! modules are named like those of the core; `buffer`, `strings` and `arrow` access memory that Python objects own.

// Docstrings of Python classes are numpydoc, not Markdown.
#![allow(clippy::doc_markdown, clippy::doc_lazy_continuation)]
// PyO3 passes extracted arguments by value.
#![allow(clippy::needless_pass_by_value)]

mod array;
mod arrow;
mod asdf;
mod buffer;
mod builder;
mod cache;
mod call;
mod codec;
mod copy;
mod dtype;
mod ending;
mod errors;
mod extract;
mod file_object;
mod group;
mod json;
mod logging;
mod options;
mod progress;
mod remote;
mod selection;
mod store;
mod strings;
mod subset;
mod variable;

use pyo3::prelude::*;

/// The native part of tegula. The package `tegula` wraps it in a NumPy-like interface.
#[pymodule]
mod _tegula {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::array::{Array, PartialDecoder, PartialEncoder, WriteSession};
    #[pymodule_export]
    use crate::arrow::{arrow_array, arrow_schema};
    #[pymodule_export]
    use crate::asdf::{
        AsdfFile, AsdfNode, BlockCompression, ZarrBlocks, append_asdf, asdf_leftovers, block_labels, compress_block,
        decompress_block, write_asdf,
    };
    #[pymodule_export]
    use crate::builder::ArrayBuilder;
    #[pymodule_export]
    use crate::cache::ChunkCache;
    #[pymodule_export]
    use crate::call::AsyncCall;
    #[pymodule_export]
    use crate::codec::{codec_names, is_array_to_bytes};
    #[pymodule_export]
    use crate::copy::{bytes_of, copied_group, copy_array, store_metadata};
    #[pymodule_export]
    use crate::ending::{after_fork, end};
    #[pymodule_export]
    use crate::errors::error_kinds;
    #[pymodule_export]
    use crate::group::{Group, node_path, open_node, refresh_consolidated};
    #[pymodule_export]
    use crate::logging::set_log_level;
    #[pymodule_export]
    use crate::options::{CodecOptions, global_options, set_global_options, set_threads, threads};
    #[pymodule_export]
    use crate::progress::Progress;
    #[pymodule_export]
    use crate::remote::{remote_stats, remote_store, requests, set_requests};
    #[pymodule_export]
    use crate::store::{Lock, Store, ZipArchive, temporary_name};
    #[pymodule_export]
    use crate::subset::{ArraySubset, ArraySubsetIndices};

    #[pymodule_init]
    #[allow(clippy::unnecessary_wraps)] // PyO3 expects a result
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::call::register();
        crate::codec::register();
        crate::logging::register();
        Ok(())
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // as Python spells it
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
