//! The order of the inner chunks of a shard.

use std::cmp::Ordering;

use super::shard::inner;
use crate::options::InnerChunkOrder;
use crate::subset::product;

impl InnerChunkOrder {
    /// Returns the inner chunks of a grid in this order, as their numbers in C order.
    pub(super) fn numbers(self, shape: &[u64]) -> Box<dyn Iterator<Item = usize>> {
        let count = product(shape).unwrap_or(0) as usize;
        if self == Self::C || shape.iter().filter(|length| **length > 1).count() < 2 {
            return Box::new(0..count);
        }
        let mut numbers: Vec<_> = (0..count).map(|number| (inner(number, shape), number)).collect();
        numbers.sort_unstable_by(|(a, _), (b, _)| morton(a, b));
        Box::new(numbers.into_iter().map(|(_, number)| number))
    }
}

/// Compares by the interleaved bits of all coordinates. As in other writers, the first coordinate has the lowest bits.
fn morton(a: &[u64], b: &[u64]) -> Ordering {
    // The coordinate with the highest differing bit decides; on a tie, the last of them.
    let (mut highest, mut order) = (0, Ordering::Equal);
    for (a, b) in a.iter().zip(b) {
        let differing = a ^ b;
        if differing != 0 && (differing >= highest || differing.leading_zeros() == highest.leading_zeros()) {
            (highest, order) = (differing, a.cmp(b));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interleaves the bits one by one, as the definition does.
    fn interleaved(point: &[u64]) -> u64 {
        (0..8).rev().fold(0, |code, bit| point.iter().rev().fold(code, |code, i| code << 1 | (i >> bit & 1)))
    }

    #[test]
    fn morton_order_is_that_of_interleaved_bits() {
        for shape in [&[4u64, 4][..], &[3, 5], &[2, 7, 3], &[1, 6], &[9], &[]] {
            let numbers: Vec<_> = InnerChunkOrder::Morton.numbers(shape).collect();
            let mut expected: Vec<_> = (0..product(shape).unwrap() as usize).collect();
            expected.sort_by_key(|number| interleaved(&inner(*number, shape)));
            assert_eq!(numbers, expected, "{shape:?}");
        }
        let c: Vec<_> = InnerChunkOrder::C.numbers(&[2, 3]).collect();
        assert_eq!(c, [0, 1, 2, 3, 4, 5]);
    }
}
