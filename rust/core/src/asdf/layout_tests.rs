//! Gathering elements, and views of one memory.

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

#[test]
fn views_share_the_block_of_their_base() {
    let bytes: Vec<u8> = (0..12).collect();
    let datatype = Datatype::from_code("<i2").unwrap();
    let view = |shape: &[u64], strides: &[i64], address: usize, offset: usize| {
        let part = memory(shape, strides, offset, &bytes[address - 100..]);
        NewArray {
            datatype: &datatype,
            memory: Memory { address, ..part },
            base: Some(memory(&[2, 3], &[6, 2], 0, &bytes)),
            storage: Storage::Internal,
            compression: None,
            mask: None,
        }
    };
    let (mut document, mut layout) = (Document::new(), BlockLayout::new("a.asdf"));
    let row = layout.add_array(&mut document, view(&[3], &[2], 106, 0)).unwrap();
    let back = layout.add_array(&mut document, view(&[2], &[-6], 100, 6)).unwrap();
    let alone = layout.add_array(&mut document, view(&[2, 3], &[0, 2], 100, 0)).unwrap();
    let text = |node, key: &str| document.get(node, key).and_then(|value| document.text(value));
    assert_eq!((text(row, "source"), text(row, "offset")), (Some("0"), Some("6")));
    assert_eq!((text(back, "source"), text(back, "offset")), (Some("0"), Some("6")));
    assert!(document.get(row, "strides").is_none() && document.get(back, "strides").is_some());
    assert_eq!((text(alone, "source"), text(alone, "offset")), (Some("1"), None));
    assert_eq!(layout.blocks.len(), 2);
}
