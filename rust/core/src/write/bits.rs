//! Bit sets: which elements of a chunk are written.

use crate::error::{Error, Result};
use crate::view::zeroed;

/// A set of numbers less than a limit.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    /// Creates an empty set of numbers less than `length`.
    pub(crate) fn new(length: u64) -> Result<Self> {
        let length = usize::try_from(length).map_err(|_| Error::memory(format_args!("{length} bits")))?;
        Ok(Self { words: zeroed(length.div_ceil(64))?, length })
    }

    /// Returns the words that hold the `count` numbers from `start`, each with the mask of these numbers.
    fn words(&self, start: usize, count: usize) -> impl Iterator<Item = (usize, u64)> + use<> {
        let end = start.saturating_add(count).min(self.length);
        let (first, last) = (start / 64, end.div_ceil(64));
        (first..if start < end { last } else { first }).map(move |word| {
            let from = if word == first { start % 64 } else { 0 };
            let to = end - word * 64;
            let below = if to >= 64 { u64::MAX } else { (1 << to) - 1 };
            (word, below & (u64::MAX << from))
        })
    }

    /// Adds the `count` numbers from `start`; returns how many are new.
    pub(crate) fn set(&mut self, start: usize, count: usize) -> u64 {
        let mut new = 0;
        for (word, part) in self.words(start, count) {
            new += u64::from((part & !self.words[word]).count_ones());
            self.words[word] |= part;
        }
        new
    }

    /// Counts the members among the `count` numbers from `start`.
    pub(crate) fn count(&self, start: usize, count: usize) -> u64 {
        self.words(start, count).map(|(word, part)| u64::from((part & self.words[word]).count_ones())).sum()
    }

    /// Returns the first member at or after `start` (the first non-member if `there` is false), or `end`.
    fn next(&self, start: usize, end: usize, there: bool) -> usize {
        for (word, part) in self.words(start, end.saturating_sub(start)) {
            let found = part & if there { self.words[word] } else { !self.words[word] };
            if found != 0 {
                return word * 64 + found.trailing_zeros() as usize;
            }
        }
        end
    }

    /// Returns the members among the `count` numbers from `start`, as runs (first, count).
    pub(crate) fn runs(&self, start: usize, count: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let end = start.saturating_add(count).min(self.length);
        let mut at = start;
        std::iter::from_fn(move || {
            let first = self.next(at, end, true);
            if first >= end {
                return None;
            }
            at = self.next(first, end, false);
            Some((first, at - first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_equal_a_list_of_booleans() {
        let mut seed = 1u64;
        let mut random = |end: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % end
        };
        for length in [1, 63, 64, 65, 200] {
            let (mut bits, mut plain) = (Bits::new(length as u64).unwrap(), vec![false; length]);
            for _ in 0..60 {
                let start = random(length);
                let count = random(length - start + 1);
                let new = plain[start..start + count].iter().filter(|there| !**there).count();
                if count < 40 {
                    plain[start..start + count].fill(true);
                    assert_eq!(bits.set(start, count), new as u64);
                }
                assert_eq!(bits.count(start, count), plain[start..start + count].iter().filter(|b| **b).count() as u64);
                let mut found = vec![false; length];
                for (first, count) in bits.runs(start, count) {
                    assert!(count > 0 && (first == start || !plain[first - 1]));
                    found[first..first + count].fill(true);
                }
                assert_eq!(found[start..start + count], plain[start..start + count]);
            }
        }
        assert_eq!(Bits::new(10).unwrap().set(8, 5), 2);
    }
}
