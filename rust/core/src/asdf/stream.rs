//! Streams: arrays in the last block of a file, to which rows can be appended
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#streams)).
//!
//! The size of the file gives the number of rows. Readers see complete rows only.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::ndarray::Source;
use super::open::AsdfFile;
use crate::error::{Error, Place, Result};
use crate::store::{FilesystemStore, NamedFile};
use crate::subset::product;

/// Appends rows, in C order, to the streamed array at a path of the tree; returns the new number of rows. Locks the
/// file against other calls, and overwrites an incomplete row at its end.
pub fn append_rows(path: &Path, node: &str, rows: &[u8]) -> Result<u64> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::not_found(format!("{} is not the path of a file", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let append = || {
        let _guard = NamedFile::open(path)?.lock()?;
        let file = AsdfFile::open(Arc::new(FilesystemStore::new(folder)), name)?;
        let stream = file.ndarray(file.find(node)?)?;
        let refused = || Error::unsupported(format!("cannot append to {node:?}: it is not a streamed array"));
        let Source::Block(number) = stream.source else { return Err(refused()) };
        let header = file.blocks().block(number)?;
        if !header.streamed || !stream.streamed || stream.strides.is_some() {
            return Err(refused());
        }
        let row = product(&stream.shape).and_then(|elements| elements.checked_mul(stream.datatype.size() as u64));
        let row = row
            .filter(|row| *row > 0)
            .ok_or_else(|| Error::metadata(format!("cannot append to {node:?}: its rows have no elements")))?;
        if !(rows.len() as u64).is_multiple_of(row) {
            return Err(Error::selection(format!("cannot append {} bytes: a row has {row} bytes", rows.len())));
        }
        let there = header.used.saturating_sub(stream.offset) / row;
        let end = header.data_offset + stream.offset + there * row;
        let target = OpenOptions::new().write(true).open(path)?;
        if let Err(error) = target.write_all_at(rows, end) {
            // Appends all rows or none.
            let _ = target.set_len(end);
            return Err(Error::from(error));
        }
        Ok(there + rows.len() as u64 / row)
    };
    append().place(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::asdf::yaml::Document;
    use crate::asdf::{Datatype, FileOptions, NewNdarray, OutBlock, Target, write_file};

    #[test]
    fn rows_are_added_to_streams() {
        let folder = std::env::temp_dir().join(format!("tegula-stream-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.asdf");
        let datatype = Datatype::from_code("<i2").unwrap();
        let mut document = Document::new();
        let root = document.root();
        let array = NewNdarray {
            target: Target::Stream,
            datatype: &datatype,
            shape: &[0, 2],
            offset: 0,
            strides: None,
            mask: None,
        };
        let node = document.add_new_ndarray(&array);
        document.insert(root, "rows", node);
        let node = document.add_ndarray(0, &datatype, &[1], None);
        document.insert(root, "plain", node);
        let blocks = [Ok(OutBlock::new(&[1, 0][..])), Ok(OutBlock::new(Vec::new()).streamed())];
        write_file(&path, &FileOptions::default(), Some(&document), blocks).unwrap();
        let read = || {
            let array = AsdfFile::open_path(&path).unwrap().array("rows").unwrap();
            array.retrieve_array_subset::<Vec<i16>>(&array.subset_all()).unwrap()
        };
        assert!(read().is_empty());
        assert_eq!(append_rows(&path, "rows", &[1, 0, 2, 0]).unwrap(), 1);
        // A crash cut off the next row.
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, &[9, 9, 9]).unwrap();
        assert_eq!(read(), [1, 2]);
        assert_eq!(append_rows(&path, "rows", &[3, 0, 4, 0, 5, 0, 6, 0]).unwrap(), 3);
        assert_eq!(append_rows(&path, "rows", &[]).unwrap(), 3);
        assert_eq!(read(), [1, 2, 3, 4, 5, 6]);
        assert!(append_rows(&path, "rows", &[1]).is_err());
        assert!(append_rows(&path, "plain", &[1, 0]).is_err());
        assert!(append_rows(&path, "none", &[1, 0]).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
