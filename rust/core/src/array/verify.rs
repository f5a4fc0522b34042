//! Verifying arrays: decodes all stored chunks, and finds objects that are not chunks.

use std::time::{Duration, Instant};

use super::Array;
use crate::error::{Error, Result};
use crate::runtime::parallel_map;
use crate::store::keys_below;
use crate::subset::{ArraySubset, Dims};

/// Memory for decoded chunks, in bytes, unless one chunk needs more.
const MEMORY: u64 = 1 << 30;

/// Time between two reports of progress.
const PACE: Duration = Duration::from_millis(200);

/// What [`Array::verify`] finds.
#[derive(Debug, Default)]
pub struct Verified {
    /// Number of chunks that are stored.
    pub chunks: u64,
    /// Keys of damaged chunks, and what is wrong with them. The key of a problem of the whole array is its path.
    pub problems: Vec<(String, Error)>,
    /// Keys below the array that are not those of chunks. They may be metadata.
    pub others: Vec<String>,
}

impl Array {
    /// Decodes every stored chunk, inner chunk by inner chunk, and compares its checksums.
    ///
    /// The work depends on what is stored, not on the grid. `progress` is called on the caller's thread with the number
    /// of verified chunks and, if it is known, the number of stored chunks; an error ends the call.
    pub fn verify(&self, progress: &dyn Fn(u64, Option<u64>) -> Result<()>) -> Result<Verified> {
        let mut found = Verified::default();
        let all = ArraySubset::new_with_shape(&self.chunk_grid_shape());
        let mut chunks = Vec::new();
        let keys = match keys_below(&**self.store(), self.path()) {
            Ok(keys) => Some(keys),
            Err(error) if error.kind() == crate::ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        let total = keys.is_some();
        for key in keys.into_iter().flatten() {
            match self.chunk_of_key(&key).filter(|chunk| all.contains(chunk)) {
                Some(chunk) => chunks.push(chunk),
                None => found.others.push(key),
            }
        }
        let total = total.then_some(chunks.len() as u64);
        let mut listed = chunks.into_iter();
        let mut asked = match total {
            Some(_) => None,
            None => match self.stored_chunks(&all) {
                Ok(stored) => Some(stored),
                Err(error) => {
                    found.problems.push((self.path().to_owned(), error));
                    return Ok(found);
                }
            },
        };
        let threads = self.options().concurrency();
        let limit = (MEMORY / self.reader().verify_memory().max(1)).clamp(1, threads as u64) as usize;
        let mut size = threads;
        loop {
            let begin = Instant::now();
            let batch: Vec<Dims> = match &mut asked {
                Some(stored) => stored.take(size)?,
                None => listed.by_ref().take(size).collect(),
            };
            if batch.is_empty() {
                return Ok(found);
            }
            let verified = parallel_map(&batch, limit, |chunk| self.reader().verify(chunk))?;
            for (chunk, problems) in batch.iter().zip(verified) {
                let Some(problems) = problems else { continue };
                found.chunks += 1;
                let key = self.chunk_key(chunk)?;
                found.problems.extend(problems.into_iter().map(|problem| (key.clone(), problem)));
            }
            progress(found.chunks, total)?;
            match begin.elapsed() {
                elapsed if elapsed < PACE / 2 => size = (size * 2).min(1 << 16),
                elapsed if elapsed > PACE * 2 => size = (size / 2).max(threads),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::array::ArrayBuilder;
    use crate::store::{MemoryStore, Store};

    #[test]
    fn damaged_inner_chunks_are_all_named() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut builder = ArrayBuilder::new([8, 8], "uint8");
        builder.chunks([2, 2]).shards([4, 8]).compressors(["crc32c"]);
        let array = builder.create(store.clone(), "a").unwrap();
        let region = ArraySubset::new_with_shape(&[8, 8]);
        array.store_array_subset(&region, &(1..65).collect::<Vec<u8>>()[..]).unwrap();
        let seen = std::cell::Cell::new((0, None));
        let watch = |done, total| {
            seen.set((done, total));
            Ok(())
        };
        let clean = array.verify(&watch).unwrap();
        assert_eq!((clean.chunks, clean.problems.len(), &clean.others[..]), (2, 0, &["a/zarr.json".to_owned()][..]));
        assert_eq!(seen.get(), (2, Some(2)));
        let mut shard = array.retrieve_encoded_chunk(&[1, 0]).unwrap().unwrap();
        shard[0] ^= 1;
        shard[17] ^= 1;
        array.store_encoded_chunk(&[1, 0], &shard).unwrap();
        store.set("a/c/7/0", b"past the end").unwrap();
        let found = array.verify(&watch).unwrap();
        assert_eq!((found.chunks, &found.others[..]), (2, &["a/c/7/0".to_owned(), "a/zarr.json".to_owned()][..]));
        let text: Vec<_> = found.problems.iter().map(|(key, error)| format!("{key} {}", error.message())).collect();
        assert_eq!(text.len(), 2, "{text:?}");
        assert!(text[0].starts_with("a/c/1/0 ") && text[0].contains("inner chunk (0, 0)"), "{text:?}");
        assert!(text[1].contains("inner chunk (0, 2)"), "{text:?}");
    }
}
