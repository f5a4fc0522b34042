//! Registered codecs, for names that the tables lack. The last registration is tried first.

use std::sync::{Arc, RwLock};

use super::{Codec, Named};
use crate::data_type::DataType;
use crate::error::Result;

/// Creates a codec from its metadata, for elements of a data type; `None` if it does not know the codec.
///
/// The last argument is true if the codec follows an array-to-bytes codec, so that it encodes bytes.
pub type Extension = Arc<dyn Fn(&Named, &DataType, bool) -> Result<Option<Codec>> + Send + Sync>;

static EXTENSIONS: RwLock<Vec<Extension>> = RwLock::new(Vec::new());

/// Registers codecs for all arrays that are opened later.
pub fn register_codecs(extension: Extension) {
    EXTENSIONS.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(extension);
}

pub(super) fn create(named: &Named, data_type: &DataType, of_bytes: bool) -> Result<Option<Codec>> {
    // The lock is released first: an extension may register others, or wait for another lock.
    let extensions = EXTENSIONS.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    for extension in extensions.iter().rev() {
        if let Some(codec) = extension(named, data_type, of_bytes)? {
            return Ok(Some(codec));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, chain::Chain};
    use crate::fill_value::FillValue;

    #[test]
    fn registered_codecs_join_a_chain() {
        register_codecs(Arc::new(|named, data_type, of_bytes| match &*named.name {
            "test.reversed" if of_bytes => {
                let crc32c = Named { name: "crc32c".into(), configuration: named.configuration.clone() };
                codec::create(&crc32c, data_type).map(Some)
            }
            _ => Ok(None),
        }));
        let uint8 = DataType::from_name("uint8").unwrap();
        let chain = |codecs: serde_json::Value| {
            let codecs = codec::parse_named_list(&codecs).unwrap();
            Chain::new(&codecs, &[4], &uint8, &FillValue::zero(&uint8))
        };
        let chain_of = chain(serde_json::json!(["bytes", "test.reversed"])).unwrap();
        assert_eq!(chain_of.stored_size(), codec::Size::Exact(8));
        let error = chain(serde_json::json!(["test.reversed"])).unwrap_err();
        assert!(error.message().contains("test.reversed"), "{error}");
    }
}
