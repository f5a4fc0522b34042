//! Strided elements in memory, as data of new blocks.

use crate::error::{Error, Result};

/// Data of a block, which are requested when the block is written.
pub trait BlockData: Send {
    /// Calls `take` once, with all bytes.
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

impl BlockData for Vec<u8> {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        take(self)
    }
}

/// Strided elements in memory.
pub struct Memory {
    /// The bytes from the lowest to the highest element.
    pub data: Box<dyn BlockData>,
    /// Address of the lowest byte, which identifies the memory that views share.
    pub address: usize,
    /// Offset of the first element in `data`, in bytes.
    pub offset: usize,
    /// The shape.
    pub shape: Vec<u64>,
    /// Strides in bytes.
    pub strides: Vec<i64>,
    /// Size of an element in bytes.
    pub item_size: usize,
}

impl Memory {
    fn is_empty(&self) -> bool {
        self.shape.contains(&0) || self.item_size == 0
    }

    /// Returns the number of bytes from the lowest to the highest element.
    fn length(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let reach = |(length, stride): (&u64, &i64)| (length - 1).saturating_mul(stride.unsigned_abs());
        self.shape.iter().zip(&self.strides).map(reach).fold(self.item_size as u64, u64::saturating_add)
    }

    /// Whether the elements are contiguous in the given order of axes.
    fn follows(&self, order: impl DoubleEndedIterator<Item = usize>) -> bool {
        let mut stride = self.item_size as i64;
        let mut follows = |axis: usize| {
            let length = self.shape[axis];
            let fits = length == 1 || self.strides[axis] == stride;
            stride = stride.saturating_mul(i64::try_from(length).unwrap_or(i64::MAX));
            fits
        };
        self.is_empty() || order.rev().all(&mut follows)
    }

    /// Whether the elements are contiguous in C order.
    pub(super) fn is_contiguous(&self) -> bool {
        self.follows(0..self.shape.len())
    }

    /// Returns the strides if the elements have no gaps in some order of axes; those of axes of length one become
    /// regular.
    pub(super) fn dense_strides(&self) -> Option<Vec<i64>> {
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        axes.sort_by_key(|axis| std::cmp::Reverse((self.strides[*axis], self.shape[*axis])));
        if !self.follows(axes.iter().copied()) {
            return None;
        }
        let mut strides = vec![0; axes.len()];
        let mut stride = self.item_size as i64;
        for axis in axes.into_iter().rev() {
            strides[axis] = stride;
            stride = stride.saturating_mul(self.shape[axis].max(1) as i64);
        }
        Some(strides)
    }

    /// Returns the offset in `base` if this is a view of it that a node can describe.
    pub(super) fn offset_in(&self, base: &Self) -> Option<u64> {
        let low = self.address.checked_sub(base.address)? as u64;
        let inside = low + self.length() <= base.length();
        let regular = !self.is_empty() && !self.strides.contains(&0) && base.dense_strides().is_some();
        (inside && regular).then_some(low + self.offset as u64)
    }

    /// Calls `take` once, with the elements in C order.
    pub fn lend_gathered(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.is_contiguous() {
            return self.data.lend(take);
        }
        self.data.lend(&mut |bytes| {
            let length = self.shape.iter().product::<u64>() as usize * self.item_size;
            let mut gathered = Vec::new();
            gathered.try_reserve_exact(length).map_err(|_| Error::memory(format_args!("{length} bytes")))?;
            gather(bytes, self.offset as i64, &self.shape, &self.strides, self.item_size, &mut gathered);
            take(&gathered)
        })
    }
}

/// Appends elements in C order.
fn gather(bytes: &[u8], first: i64, shape: &[u64], strides: &[i64], size: usize, gathered: &mut Vec<u8>) {
    let at = |index: u64, stride: i64| (first + index as i64 * stride) as usize;
    let (Some((length, shape)), Some((stride, strides))) = (shape.split_first(), strides.split_first()) else {
        return gathered.extend_from_slice(&bytes[first as usize..][..size]);
    };
    if !shape.is_empty() {
        (0..*length).for_each(|k| gather(bytes, at(k, *stride) as i64, shape, strides, size, gathered));
    } else if *stride == size as i64 {
        gathered.extend_from_slice(&bytes[first as usize..][..*length as usize * size]);
    } else {
        // A constant size makes copies of single elements several times as fast.
        match size {
            1 => gathered.extend((0..*length).map(|k| bytes[at(k, *stride)])),
            2 => each::<2>(bytes, *length, |k| at(k, *stride), gathered),
            4 => each::<4>(bytes, *length, |k| at(k, *stride), gathered),
            8 => each::<8>(bytes, *length, |k| at(k, *stride), gathered),
            _ => (0..*length).for_each(|k| gathered.extend_from_slice(&bytes[at(k, *stride)..][..size])),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], length: u64, at: impl Fn(u64) -> usize, gathered: &mut Vec<u8>) {
    for k in 0..length {
        if let Some(element) = bytes[at(k)..].first_chunk::<N>() {
            gathered.extend_from_slice(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(shape: &[u64], strides: &[i64], offset: usize, bytes: &[u8]) -> Memory {
        let data = Box::new(bytes.to_vec());
        Memory { data, address: 100, offset, shape: shape.to_vec(), strides: strides.to_vec(), item_size: 2 }
    }

    fn gathered(memory: &Memory) -> Vec<u8> {
        let mut found = Vec::new();
        let keep = memory.lend_gathered(&mut |bytes| {
            found = bytes.to_vec();
            Ok(())
        });
        keep.map(|()| found).unwrap()
    }

    #[test]
    fn elements_are_gathered_in_c_order() {
        let bytes: Vec<u8> = (0..24).collect();
        let rows = memory(&[2, 3], &[6, 2], 0, &bytes[..12]);
        assert!(rows.is_contiguous());
        assert_eq!(gathered(&rows), bytes[..12]);
        let columns = memory(&[3, 2], &[2, 6], 0, &bytes[..12]);
        assert_eq!((columns.is_contiguous(), columns.dense_strides()), (false, Some(vec![2, 6])));
        assert_eq!(gathered(&columns), [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        let back = memory(&[3], &[-4], 8, &bytes[..10]);
        assert_eq!((back.length(), back.dense_strides()), (10, None));
        assert_eq!(gathered(&back), [8, 9, 4, 5, 0, 1]);
        let repeated = memory(&[2, 2], &[0, 2], 0, &bytes[..4]);
        assert_eq!(gathered(&repeated), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(gathered(&memory(&[], &[], 0, &bytes[..2])), [0, 1]);
        assert!(gathered(&memory(&[0, 3], &[6, 2], 0, &[])).is_empty());
    }
}
