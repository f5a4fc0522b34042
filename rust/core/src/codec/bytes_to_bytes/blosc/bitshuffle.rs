//! Shuffling of bits: the first bits of all elements, then their second bits, and so on.

use std::array;

#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Shuffle,
    Unshuffle,
}

/// Unshuffles the bits of the largest multiple of 8 elements, and copies the rest.
pub(super) fn unshuffle_bits(type_size: usize, from: &[u8], to: &mut [u8]) {
    let (from, from_rest) = from.split_at(from.len() / type_size / 8 * 8 * type_size);
    let (to, to_rest) = to.split_at_mut(from.len());
    to_rest.copy_from_slice(from_rest);
    reorder_bits(Way::Unshuffle, type_size, from, to);
}

/// Shuffles or unshuffles the bits of elements, whose number is a multiple of 8.
pub(super) fn reorder_bits(way: Way, type_size: usize, from: &[u8], to: &mut [u8]) {
    let groups = from.len() / type_size / 8;
    for at in 0..type_size {
        for group in 0..groups {
            let byte = |element| (group * 8 + element) * type_size + at;
            let bits = |bit| (at * 8 + bit) * groups + group;
            match way {
                Way::Shuffle => reorder_8_bytes(from, byte, to, bits),
                Way::Unshuffle => reorder_8_bytes(from, bits, to, byte),
            }
        }
    }
}

fn reorder_8_bytes(from: &[u8], from_at: impl Fn(usize) -> usize, to: &mut [u8], to_at: impl Fn(usize) -> usize) {
    let square = u64::from_le_bytes(array::from_fn(|row| from[from_at(row)]));
    for (row, byte) in transpose(square).to_le_bytes().into_iter().enumerate() {
        to[to_at(row)] = byte;
    }
}

/// Transposes 8 x 8 bits; each byte is a row.
fn transpose(mut square: u64) -> u64 {
    for (distance, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0xf0f0_f0f0)] {
        let swapped = (square ^ (square >> distance)) & mask;
        square ^= swapped ^ (swapped << distance);
    }
    square
}
