//! The chunks of an array: the store, their keys and their codecs.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::codec::chain::Chain;
use crate::error::{Error, Result};
use crate::runtime::{gather, parallel};
use crate::store::{Identity, Store};

/// The chunks of an array.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    /// Prefix of the keys of chunks: empty, or a path and `/`.
    pub(crate) prefix: String,
    pub(crate) chunk_key_encoding: ChunkKeyEncoding,
    pub(crate) grid: ChunkGrid,
    /// The codecs of a chunk; if chunks have several shapes, of the first.
    pub(crate) chain: Chain,
    pub(crate) chains: Chains,
    /// Distinguishes arrays in caches.
    pub(crate) identity: Identity,
    /// Name of the array in messages.
    pub(crate) name: String,
}

/// The codecs of all chunks of an array.
#[derive(Debug)]
pub(crate) enum Chains {
    /// All chunks have the codecs of the first.
    One,
    /// All chunks have the same codecs, but several shapes. Codecs are bound to a shape when it first occurs.
    Shapes { codecs: Vec<Named>, bound: Vec<OnceLock<Box<Chain>>> },
    /// Each chunk has codecs of its own.
    Each(Arc<dyn EachChain>),
}

/// Finds the codecs of each chunk.
pub(crate) trait EachChain: fmt::Debug + Send + Sync {
    /// Returns the codecs of a chunk, or `None` if it is not stored. May read the chunk's header.
    fn chain(&self, chunk: &[u64]) -> Result<Option<&Chain>>;
}

/// Maximum number of distinct chunk shapes.
const MOST_SHAPES: u64 = 1 << 16;

impl Chains {
    pub(crate) fn new(grid: &ChunkGrid, codecs: &[Named]) -> Result<Self> {
        match grid.shapes() {
            0 | 1 => Ok(Self::One),
            count if count > MOST_SHAPES => {
                Err(Error::unsupported(format!("the chunks have {count} different shapes, more than {MOST_SHAPES}")))
            }
            count => {
                let bound = std::iter::repeat_with(OnceLock::new).take(count as usize).collect();
                Ok(Self::Shapes { codecs: codecs.to_vec(), bound })
            }
        }
    }
}

impl Source {
    /// Returns the key of a chunk in the store.
    pub(crate) fn key(&self, chunk: &[u64]) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 4 * chunk.len() + 2);
        key.push_str(&self.prefix);
        self.chunk_key_encoding.write(chunk, &mut key);
        key
    }

    /// Calls `work` on every item: on at most `limit` threads of the pool or, in a remote store, on many threads that
    /// wait for requests, limited by the memory that `bytes` estimates.
    pub(crate) fn each<T: Sync>(
        &self,
        items: &[T],
        limit: usize,
        bytes: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(&T) -> Result<()> + Sync,
    ) -> Result<()> {
        if self.store.profile().remote { gather(items, bytes, work) } else { parallel(items, limit, work) }
    }

    /// Returns the codecs of a chunk.
    pub(crate) fn chain_of(&self, chunk: &[u64]) -> Result<&Chain> {
        let (codecs, bound) = match &self.chains {
            Chains::One => return Ok(&self.chain),
            Chains::Each(chains) => return Ok(chains.chain(chunk)?.unwrap_or(&self.chain)),
            Chains::Shapes { codecs, bound } => (codecs, bound),
        };
        let subset = self.grid.chunk_subset(chunk)?;
        let bound = &bound[self.grid.shape_number(subset.shape())];
        if let Some(chain) = bound.get() {
            return Ok(chain);
        }
        let chain = Chain::new(codecs, subset.shape(), self.chain.data_type(), self.chain.fill_value())?;
        Ok(bound.get_or_init(|| Box::new(chain)))
    }

    /// Returns the probable codecs of a chunk, without a request to another machine.
    pub(crate) fn likely_chain(&self, chunk: &[u64]) -> Option<&Chain> {
        match &self.chains {
            Chains::Each(_) if self.store.profile().remote => Some(&self.chain),
            _ => self.chain_of(chunk).ok(),
        }
    }
}
