//! Chunk maps of Zarr nodes: a block with the block number of each chunk.

use std::sync::OnceLock;

use super::block_store::{ChunkData, Chunks};
use super::open::AsdfFile;
use crate::error::{Error, Place, Result};
use crate::subset::{product, tuple};

/// The chunks of a grid, in the blocks that a map names.
pub(super) struct ChunkMap {
    file: AsdfFile,
    /// Number of the block of the map.
    block: i64,
    /// Shape of the chunk grid.
    grid: Vec<u64>,
    /// The block number of each chunk in C order, -1 for a chunk that is not stored; read once.
    numbers: OnceLock<Vec<i32>>,
}

impl ChunkMap {
    pub(super) fn new(file: &AsdfFile, block: i64, grid: Vec<u64>) -> Self {
        Self { file: file.clone(), block, grid, numbers: OnceLock::new() }
    }

    /// Returns the block number of a chunk; `None` if the chunk is not stored.
    fn number(&self, key: &str) -> Result<Option<i64>> {
        let numbers = match self.numbers.get() {
            Some(numbers) => numbers,
            None => self.numbers.get_or_init({
                let numbers = self.read().place(|| format!("the chunk map in block {}", self.block))?;
                || numbers
            }),
        };
        match position(key, &self.grid).and_then(|position| numbers.get(position)) {
            None => Err(Error::store(format!("{key:?} is not the key of a chunk"))),
            Some(-1) => Ok(None),
            Some(number) if *number < 0 || i64::from(*number) == self.block => {
                Err(Error::corrupt(format!("the chunk map names block {number} for chunk {key}")))
            }
            Some(number) => Ok(Some((*number).into())),
        }
    }

    fn read(&self) -> Result<Vec<i32>> {
        let size = self.file.blocks().block(self.block)?.data_size;
        if product(&self.grid).and_then(|chunks| chunks.checked_mul(4)) != Some(size) {
            let grid = tuple(&self.grid);
            return Err(Error::corrupt(format!("{size} bytes do not match a grid of {grid} chunks, 4 bytes each")));
        }
        let bytes = self.file.block_data(self.block)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|number| i32::from_le_bytes(*number)).collect())
    }
}

impl Chunks for ChunkMap {
    fn find(&self, key: &str) -> Result<Option<ChunkData>> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        Ok(Some(ChunkData::Block(self.file.clone(), self.file.block(number)?)))
    }
}

/// Returns the position of a chunk in C order, by its key `0.1`.
fn position(key: &str, grid: &[u64]) -> Option<usize> {
    if grid.is_empty() {
        return (key == "0").then_some(0);
    }
    let mut indices = key.split('.');
    let position = grid.iter().try_fold(0u64, |position, length| {
        let index: u64 = indices.next()?.parse().ok().filter(|index| index < length)?;
        position.checked_mul(*length)?.checked_add(index)
    })?;
    if indices.next().is_some() { None } else { usize::try_from(position).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_positions() {
        assert_eq!(position("0", &[]), Some(0));
        assert_eq!(position("2.1", &[3, 2]), Some(5));
        for key in ["3.0", "0.2", "0", "0.0.0", "a.0", "", "-1.0"] {
            assert_eq!(position(key, &[3, 2]), None, "{key}");
        }
    }
}
