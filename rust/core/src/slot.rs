//! Elements of variable length. A buffer holds a [`Slot`] for each, which points to its bytes in one of the [`Heaps`].
//! Instead of keeping heaps, a [`Sink`] can convert each element when it is decoded.

use std::sync::Mutex;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};

/// The heap, offset and length of an element of variable length. [`Slot::SIZE`] zero bytes are an empty element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Slot {
    /// Number of the heap.
    pub heap: u32,
    /// Length in bytes.
    pub length: u32,
    /// Offset in the heap, in bytes.
    pub offset: u64,
}

impl Slot {
    /// The size of a slot in bytes.
    pub const SIZE: usize = 16;

    /// Returns the bytes of the slot in a buffer.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        bytemuck::cast(self)
    }

    /// Returns the slot with these bytes in a buffer.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        bytemuck::cast(bytes)
    }

    /// Returns the slots of a buffer.
    pub fn all(buffer: &[u8]) -> impl ExactSizeIterator<Item = Self> {
        buffer.as_chunks::<{ Self::SIZE }>().0.iter().map(|bytes| Self::from_bytes(*bytes))
    }

    /// Returns the bytes of the element in a heap.
    pub fn of(self, heap: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.offset).ok()?;
        heap.get(start..start.checked_add(self.length as usize)?)
    }
}

/// The bytes of elements of variable length. Heap 0 is the fill value.
#[derive(Debug)]
pub struct Heaps(Mutex<Vec<Vec<u8>>>);

impl Heaps {
    /// Creates the heap of the fill value.
    pub fn new(fill_value: &[u8]) -> Self {
        Self(Mutex::new(vec![fill_value.to_vec()]))
    }

    /// Adds a heap, and returns its number.
    pub(crate) fn add(&self, heap: Vec<u8>) -> Result<u32> {
        let mut heaps = crate::runtime::lock(&self.0);
        heaps.push(heap);
        u32::try_from(heaps.len() - 1).map_err(|_| Error::store("cannot read more than 2^32 chunks of strings at once"))
    }

    /// Returns the heaps by number.
    pub fn into_inner(self) -> Vec<Vec<u8>> {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Converts elements of variable length to elements of [`Slot::SIZE`] bytes that are not slots.
pub trait Sink: Sync {
    /// Begins a chunk. The returned function is called for each element, with its offset in the buffer in bytes, by one
    /// thread at a time.
    fn lock(&self) -> Put<'_>;
}

/// Writes an element to an offset of a buffer; see [`Sink::lock`].
pub type Put<'a> = Box<dyn FnMut(usize, &[u8]) -> Result<()> + 'a>;

/// The destination of decoded elements of variable length.
#[derive(Clone, Copy)]
pub(crate) enum Keeping<'a> {
    Heaps(&'a Heaps),
    Sink(&'a dyn Sink),
}

/// Elements of variable length: slots and their heaps.
#[derive(Debug)]
pub struct Variable<'a> {
    slots: &'a [u8],
    heaps: &'a [Vec<u8>],
}

impl<'a> Variable<'a> {
    /// Combines a buffer of slots in C order with the heaps.
    pub fn new(slots: &'a [u8], heaps: &'a [Vec<u8>]) -> Self {
        Self { slots, heaps }
    }

    /// Returns the elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let heaps = self.heaps;
        Slot::all(self.slots)
            .map(move |slot| heaps.get(slot.heap as usize).and_then(|heap| slot.of(heap)).unwrap_or_default())
    }

    /// Returns the concatenated elements, and the offset of each, followed by the total length.
    pub fn concatenated(&self) -> Result<(Vec<u8>, Vec<i64>)> {
        let total: usize = Slot::all(self.slots).map(|slot| slot.length as usize).sum();
        let count = self.slots.len() / Slot::SIZE;
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        bytes.try_reserve_exact(total).map_err(|_| Error::memory(format_args!("{total} bytes")))?;
        offsets.try_reserve_exact(count + 1).map_err(|_| Error::memory(format_args!("{count} offsets")))?;
        offsets.push(0);
        for element in self.iter() {
            bytes.extend_from_slice(element);
            offsets.push(bytes.len() as i64);
        }
        Ok((bytes, offsets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_their_heaps() {
        let heaps = Heaps::new(b"fill");
        let number = heaps.add(b"onetwo".to_vec()).unwrap();
        let slots = [
            Slot { heap: number, offset: 3, length: 3 },
            Slot { heap: 0, offset: 0, length: 4 },
            Slot { heap: number, offset: 0, length: 0 },
            Slot { heap: number, offset: 0, length: 3 },
        ];
        let buffer: Vec<u8> = slots.iter().flat_map(|slot| slot.to_bytes()).collect();
        assert_eq!(Slot::all(&buffer).collect::<Vec<_>>(), slots);
        let heaps = heaps.into_inner();
        let variable = Variable::new(&buffer, &heaps);
        assert_eq!(variable.iter().collect::<Vec<_>>(), [&b"two"[..], b"fill", b"", b"one"]);
        assert_eq!(variable.concatenated().unwrap(), (b"twofillone".to_vec(), vec![0, 3, 7, 7, 10]));
        assert_eq!(Slot { heap: 0, offset: u64::MAX, length: 2 }.of(b"abc"), None);
    }
}
