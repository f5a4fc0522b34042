//! Chunks of an array: where they are stored and how.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::codec::chain::Chain;
use crate::error::{Error, Result};
use crate::runtime::{gather, parallel};
use crate::store::{Identity, Store};

/// Chunks of an array.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    /// What comes before a chunk's key: empty, or a path and `/`.
    pub(crate) prefix: String,
    pub(crate) chunk_key_encoding: ChunkKeyEncoding,
    pub(crate) grid: ChunkGrid,
    /// The codecs of a chunk; where chunks have several shapes, of the first.
    pub(crate) chain: Chain,
    pub(crate) chains: Chains,
    /// Tells arrays apart in caches.
    pub(crate) identity: Identity,
    /// The array, for people.
    pub(crate) name: String,
}

/// The codecs of the chunks of an array.
#[derive(Debug)]
pub(crate) enum Chains {
    /// Those of the first chunk.
    One,
    /// The same for chunks of every shape, each bound when it is first met.
    Shapes { codecs: Vec<Named>, bound: Vec<OnceLock<Box<Chain>>> },
    /// What is stored of each chunk tells.
    Each(Arc<dyn EachChain>),
}

/// Tells the codecs of each chunk.
pub(crate) trait EachChain: fmt::Debug + Send + Sync {
    /// The codecs of a chunk, for which what is stored of it may be asked; `None`: nothing is stored.
    fn chain(&self, chunk: &[u64]) -> Result<Option<&Chain>>;
}

/// Chunks have no more shapes than these.
const MOST: u64 = 1 << 16;

impl Chains {
    pub(crate) fn new(grid: &ChunkGrid, codecs: &[Named]) -> Result<Self> {
        match grid.shapes() {
            0 | 1 => Ok(Self::One),
            count if count > MOST => {
                Err(Error::unsupported(format!("the chunks have {count} different shapes, more than {MOST}")))
            }
            count => {
                let bound = std::iter::repeat_with(OnceLock::new).take(count as usize).collect();
                Ok(Self::Shapes { codecs: codecs.to_vec(), bound })
            }
        }
    }
}

impl Source {
    pub(crate) fn key(&self, chunk: &[u64]) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 4 * chunk.len() + 2);
        key.push_str(&self.prefix);
        self.chunk_key_encoding.write(chunk, &mut key);
        key
    }

    /// Does `work` on every item, on the threads of the pool; where it waits for another machine, on many that wait,
    /// which hold about `bytes` of each item.
    pub(crate) fn each<T: Sync>(
        &self,
        items: &[T],
        limit: usize,
        bytes: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(&T) -> Result<()> + Sync,
    ) -> Result<()> {
        if self.store.profile().remote { gather(items, bytes, work) } else { parallel(items, limit, work) }
    }

    /// The codecs of a chunk.
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

    /// The codecs that a chunk is likely to have, without a round trip to where it is stored.
    pub(crate) fn likely_chain(&self, chunk: &[u64]) -> Option<&Chain> {
        match &self.chains {
            Chains::Each(_) if self.store.profile().remote => Some(&self.chain),
            _ => self.chain_of(chunk).ok(),
        }
    }
}
