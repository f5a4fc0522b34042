//! Codecs that others bring: asked for the names that `TABLE` does not have, the last that was registered first.

use std::sync::{Arc, RwLock};

use super::{Codec, Named};
use crate::data_type::DataType;
use crate::error::Result;

/// Makes codecs out of their metadata, for elements of a data type; `None`: it does not have this one.
pub type Extension = Arc<dyn Fn(&Named, &DataType) -> Result<Option<Codec>> + Send + Sync>;

static EXTENSIONS: RwLock<Vec<Extension>> = RwLock::new(Vec::new());

/// Registers codecs for all arrays that are opened from now on.
pub fn register_codecs(extension: Extension) {
    EXTENSIONS.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(extension);
}

pub(super) fn create(named: &Named, data_type: &DataType) -> Result<Option<Codec>> {
    // An extension may register others, or wait for a lock of its own.
    let extensions = EXTENSIONS.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    for extension in extensions.iter().rev() {
        if let Some(codec) = extension(named, data_type)? {
            return Ok(Some(codec));
        }
    }
    Ok(None)
}
