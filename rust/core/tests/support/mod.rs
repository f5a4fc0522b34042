//! Code that several tests share.

use tegula::{Dims, Selection};

/// A small random generator, so that failures are the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    pub(crate) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }
}

/// Returns the selection with lists for some axes, those for which `runs` is false, and its positions in C order.
pub(crate) fn listed(
    random: &mut Random,
    mut selection: Selection,
    shape: &[u64],
    runs: impl Fn(&mut Random) -> bool,
) -> (Selection, Vec<Dims>) {
    // For each dimension of the result, the axes that it takes and the entries along them.
    let mut parts: Vec<(Vec<usize>, Vec<Vec<u64>>)> = Vec::new();
    let mut left: Vec<usize> = (0..shape.len()).collect();
    while let Some(axis) = left.first().copied() {
        left.remove(0);
        if runs(random) {
            let run = selection.axes()[axis];
            let positions = (0..run.length).map(|k| vec![run.start.wrapping_add_signed(run.step * k as i64)]).collect();
            parts.push((vec![axis], positions));
            continue;
        }
        let mut axes = vec![axis];
        while !left.is_empty() && random.below(2) == 0 {
            axes.push(left.remove(random.below(left.len() as u64) as usize));
        }
        let count = random.below(12);
        let entries: Vec<Vec<u64>> =
            (0..count).map(|_| axes.iter().map(|axis| random.below(shape[*axis])).collect()).collect();
        let columns = (0..axes.len()).map(|k| entries.iter().map(|entry| entry[k]).collect()).collect();
        selection = selection.with_list(&axes, columns).unwrap();
        parts.push((axes, entries));
    }
    if random.below(3) == 0 {
        let order: Vec<usize> = (0..parts.len()).rev().collect();
        selection = selection.transposed(&order).unwrap();
        parts.reverse();
    }
    let mut places = vec![Dims::from_elem(0, shape.len())];
    for (axes, entries) in parts {
        let placed = |place: &Dims, entry: &Vec<u64>| {
            let mut place = place.clone();
            axes.iter().zip(entry).for_each(|(axis, position)| place[*axis] = *position);
            place
        };
        places = places.iter().flat_map(|place| entries.iter().map(|entry| placed(place, entry))).collect();
    }
    (selection, places)
}
