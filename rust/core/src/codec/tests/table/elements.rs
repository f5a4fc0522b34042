//! Elements of every data type, and an obvious way to select some of them.

use serde_json::{Value, json};

use super::SHAPE;
use crate::array::ArrayBytes;
use crate::data_type::{DataType, Kind};
use crate::metadata::fill_value_from_json;
use crate::selection::{AxisSelection, Selection};

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

pub(super) fn variable(elements: impl Iterator<Item = Vec<u8>>, data_type: &DataType) -> ArrayBytes {
    let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
    for element in elements {
        bytes.extend_from_slice(&element);
        offsets.push(bytes.len() as i64);
    }
    ArrayBytes { bytes, offsets: Some(offsets), data_type: data_type.clone(), shape: SHAPE.to_vec() }
}

/// Returns plausible elements of a type; `poor` numbers are only 2 and 3.
pub(super) fn elements(data_type: &DataType, poor: bool) -> ArrayBytes {
    let count = SHAPE.iter().product::<u64>() as usize;
    let mut random = Random(1);
    let labels = ["a", "long", "é", ""];
    let mut number = || match data_type.bits() {
        2 => random.below(2),
        _ if poor => 2 + random.below(2),
        bits if bits <= 8 => random.below(if bits < 4 {
            2
        } else if bits < 8 {
            4
        } else {
            50
        }),
        _ => random.below(1000),
    };
    // Numbers that are too large for a small type become 2.
    let spelled = |number: &Value| {
        let found = fill_value_from_json(number, data_type).or_else(|_| fill_value_from_json(&json!(2), data_type));
        found.unwrap().bytes().to_vec()
    };
    let bytes = match data_type.kind() {
        Kind::String => return variable((0..count).map(|_| labels[random.below(4)].into()), data_type),
        Kind::Bytes => {
            return variable((0..count).map(|k| vec![k as u8; random.below(5)]), data_type);
        }
        Kind::List => {
            let size = data_type.item().unwrap().data_type.size();
            return variable((0..count).map(|k| vec![k as u8; random.below(5) * size]), data_type);
        }
        Kind::Object => {
            let texts = [r#"{"a":[1,-2.5]}"#, "\"e\\n\\\"\"", "null", "18446744073709551615", "[]", "true"];
            return variable((0..count).map(|_| texts[random.below(6)].into()), data_type);
        }
        Kind::FixedText => {
            let letter = |label: &str, at| label.chars().nth(at).map_or(0, u32::from).to_ne_bytes();
            let text = |label: &'static str| (0..data_type.size() / 4).flat_map(move |at| letter(label, at));
            (0..count).flat_map(|_| text(labels[random.below(4)])).collect()
        }
        Kind::FixedBytes => (0..count).flat_map(|_| [*b"abc", *b"x\0\0", *b"\0\0\0"][random.below(3)]).collect(),
        Kind::Bool => (0..count).map(|_| random.below(2) as u8).collect(),
        Kind::DateTime | Kind::TimeDelta => (0..count).flat_map(|_| (number() as i64).to_ne_bytes()).collect(),
        Kind::Complex => (0..count).flat_map(|_| spelled(&json!([number(), number()]))).collect(),
        Kind::Int | Kind::UInt | Kind::Float => (0..count).flat_map(|_| spelled(&json!(number()))).collect(),
        _ => (0..count * data_type.size()).map(|_| random.below(256) as u8).collect(),
    };
    ArrayBytes { bytes, offsets: None, data_type: data_type.clone(), shape: SHAPE.to_vec() }
}

/// Returns an element of an array.
pub(super) fn element(whole: &ArrayBytes, at: usize) -> &[u8] {
    match &whole.offsets {
        Some(offsets) => &whole.bytes[offsets[at] as usize..offsets[at + 1] as usize],
        None => &whole.bytes[at * whole.data_type.size()..][..whole.data_type.size()],
    }
}

/// Copies the elements of a selection one by one.
pub(super) fn gather(whole: &ArrayBytes, selection: &Selection) -> ArrayBytes {
    let [rows, columns] = selection.axes() else { panic!() };
    let position = |axis: &AxisSelection, k: u64| axis.start.wrapping_add_signed(axis.step * k as i64);
    let places = (0..rows.length).flat_map(|row| (0..columns.length).map(move |column| (row, column)));
    let gathered = places.map(|(row, column)| {
        let at = position(rows, row) * whole.shape[1] + position(columns, column);
        element(whole, at as usize).to_vec()
    });
    let mut found = variable(gathered, &whole.data_type);
    found.shape = selection.shape().to_vec();
    if whole.offsets.is_none() {
        found.offsets = None;
    }
    found
}
