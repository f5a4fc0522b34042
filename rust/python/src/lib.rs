//! The Python module `tegula._tegula`: it extracts arguments, releases the GIL, calls the core and converts what comes
//! back. There is a file for each of the core's; `buffer`, `strings` and `arrow` touch memory that others own.

// Documentation of what Python sees is numpydoc, not Markdown.
#![allow(clippy::doc_markdown, clippy::doc_lazy_continuation)]
// Arguments are extracted, and belong to the call.
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
mod errors;
mod extract;
mod group;
mod json;
mod options;
mod remote;
mod selection;
mod store;
mod strings;
mod subset;
mod variable;

use pyo3::prelude::*;

/// The native part of tegula. What users see is in `tegula`, which gives it NumPy's manners.
#[pymodule]
mod _tegula {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::array::{Array, PartialDecoder, PartialEncoder, WriteSession};
    #[pymodule_export]
    use crate::arrow::{arrow_array, arrow_schema};
    #[pymodule_export]
    use crate::asdf::{
        AsdfFile, AsdfNode, BlockCompression, ZarrBlocks, append_asdf, block_labels, compress_block, decompress_block,
        write_asdf,
    };
    #[pymodule_export]
    use crate::builder::ArrayBuilder;
    #[pymodule_export]
    use crate::cache::ChunkCache;
    #[pymodule_export]
    use crate::codec::codec_names;
    #[pymodule_export]
    use crate::copy::{bytes_of, copied_group, copy_array, store_metadata};
    #[pymodule_export]
    use crate::errors::error_kinds;
    #[pymodule_export]
    use crate::group::{Group, node_path, open_node};
    #[pymodule_export]
    use crate::options::{CodecOptions, global_options, set_global_options, set_threads, threads};
    #[pymodule_export]
    use crate::remote::{remote_stats, remote_store, requests, set_requests};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::subset::{ArraySubset, ArraySubsetIndices};

    #[pymodule_init]
    #[allow(clippy::unnecessary_wraps)] // what PyO3 calls may fail
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::codec::register();
        Ok(())
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // as Python spells it
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
