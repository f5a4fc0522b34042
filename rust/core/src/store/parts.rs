//! New objects made of new bytes and of ranges of the object that they replace, which the system can copy.

use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};

use super::system::{Filesystem, cut_short, map, preallocate};
use super::{Object, reserve};
use crate::error::{Error, Result};

/// A piece of a new object; see [`WritableStore::set_parts`](super::WritableStore::set_parts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// New bytes.
    Bytes(&'a [u8]),
    /// A range of the old object.
    Kept {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
}

impl Piece<'_> {
    /// Returns the number of bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Kept { length, .. } => *length,
        }
    }
}

/// Maximum size of a read that joins parts of the old object.
const READ: u64 = 8 << 20;

/// Appends pieces to `into`. Ranges of the old object that are at most `gap` bytes apart are read together.
pub fn assemble(pieces: &[Piece<'_>], old: Option<&dyn Object>, gap: u64, into: &mut Vec<u8>) -> Result<()> {
    let total = pieces.iter().fold(0, |total: u64, piece| total.saturating_add(piece.length()));
    reserve(into, usize::try_from(total).unwrap_or(usize::MAX))?;
    // Offset in the old object, length, and offset in the new one.
    let mut kept = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => into.extend_from_slice(bytes),
            Piece::Kept { offset, length } => {
                kept.push((*offset, *length as usize, into.len()));
                into.resize(into.len() + *length as usize, 0);
            }
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    let gone = || Error::store("the object was erased while it was changed");
    let old = old.ok_or_else(gone)?;
    kept.sort_unstable();
    let mut rest = &kept[..];
    while let [(start, first, to), ..] = *rest {
        let mut end = start + first as u64;
        let joins = |(offset, length, _): &&(u64, usize, usize)| {
            let joined = end.max(offset + *length as u64);
            let near = *offset <= end.saturating_add(gap) && joined - start <= READ;
            end = if near { joined } else { end };
            near
        };
        let count = 1 + rest[1..].iter().take_while(joins).count();
        let (group, others) = rest.split_at(count);
        rest = others;
        if count == 1 {
            old.read_at(start, &mut into[to..to + first])?.ok_or_else(gone)?;
            continue;
        }
        let mut together = Vec::new();
        reserve(&mut together, (end - start) as usize)?;
        together.resize((end - start) as usize, 0);
        old.read_at(start, &mut together)?.ok_or_else(gone)?;
        for (offset, length, to) in group {
            let from = (offset - start) as usize;
            into[*to..to + length].copy_from_slice(&together[from..from + length]);
        }
    }
    Ok(())
}

/// Minimum size of a file that is written in the way that is fastest on its filesystem.
const LARGE: u64 = 1 << 20;

/// Number of bytes of the old file mapped at once.
const WINDOW: u64 = 16 << 20;

/// Writes pieces to an empty file.
pub(super) fn write(pieces: &[Piece<'_>], old: Option<&File>, into: &mut File) -> io::Result<()> {
    let length = pieces.iter().fold(0, |total: u64, piece| total.saturating_add(piece.length()));
    if length < LARGE {
        return write_mapped(pieces, old, into);
    }
    let filesystem = Filesystem::of(into);
    if filesystem == Filesystem::Ext {
        preallocate(into, length);
    }
    match old {
        Some(old) if filesystem == Filesystem::Other => write_shared(pieces, old, into),
        old => write_mapped(pieces, old, into),
    }
}

/// Writes pieces; the system copies the kept ones, or lets both files share the disk blocks if it can.
fn write_shared(pieces: &[Piece<'_>], mut old: &File, into: &mut File) -> io::Result<()> {
    let together = |one: &Piece<'_>, other: &Piece<'_>| matches!((one, other), (Piece::Bytes(_), Piece::Bytes(_)));
    for group in pieces.chunk_by(together) {
        let [Piece::Kept { offset, length }] = *group else {
            write_mapped(group, None, into)?;
            continue;
        };
        old.seek(SeekFrom::Start(offset))?;
        // Between files, this calls `copy_file_range`, or copies if that is not possible.
        if io::copy(&mut old.take(length), into)? != length {
            return Err(cut_short());
        }
    }
    Ok(())
}

/// Splits kept pieces at the size of a window.
fn cut<'a>(pieces: &[Piece<'a>]) -> Vec<Piece<'a>> {
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Piece::Kept { offset, length } = *piece else {
            all.push(*piece);
            continue;
        };
        let parts = (0..length.div_ceil(WINDOW)).map(|k| k * WINDOW);
        all.extend(parts.map(|k| Piece::Kept { offset: offset.saturating_add(k), length: WINDOW.min(length - k) }));
    }
    all
}

/// Writes pieces, the kept ones from memory maps of the old file: one copy and few system calls.
fn write_mapped(pieces: &[Piece<'_>], old: Option<&File>, into: &mut File) -> io::Result<()> {
    /// Maximum number of pieces that `writev` takes.
    const MOST: usize = 1024;
    let pieces = cut(pieces);
    let mut rest = &pieces[..];
    while !rest.is_empty() {
        // The range of the old file that holds the kept pieces, and their total length.
        let (mut span, mut kept) = (None, 0);
        let mut fits = |piece: &&Piece<'_>| {
            let Piece::Kept { offset, length } = **piece else { return true };
            let end = offset.saturating_add(length);
            let (first, last) =
                span.map_or((offset, end), |(first, last): (u64, u64)| (first.min(offset), last.max(end)));
            let fits = last - first <= WINDOW;
            if fits {
                (span, kept) = (Some((first, last)), kept + length);
            }
            fits
        };
        let count = rest.iter().take(MOST).take_while(&mut fits).count();
        let (group, others) = rest.split_at(count);
        rest = others;
        let (first, last) = span.unwrap_or_default();
        let map = if span.is_some() { Some(map(old, first, last, kept)?) } else { None };
        let map = map.as_deref().unwrap_or_default();
        let mut slices = Vec::with_capacity(count);
        for piece in group {
            slices.push(IoSlice::new(match *piece {
                Piece::Bytes(bytes) => bytes,
                Piece::Kept { offset, length } => &map[(offset - first) as usize..][..length as usize],
            }));
        }
        write_all(&mut slices, into)?;
    }
    Ok(())
}

fn write_all(mut slices: &mut [IoSlice<'_>], into: &mut File) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match into.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A page of the map is past the end of the file.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => return Err(cut_short()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FilesystemStore, MemoryStore, Store, get};

    #[test]
    fn pieces_make_an_object() {
        let folder = std::env::temp_dir().join(format!("tegula-parts-{}", std::process::id()));
        let files = FilesystemStore::new(folder.join("new"));
        let stores: [Box<dyn Store>; 3] =
            [Box::new(MemoryStore::new()), Box::new(files.clone().with_fsync(true)), Box::new(files)];
        for store in stores {
            let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
            let more = vec![7; 100_000];
            store
                .set_parts("a/b", &[Piece::Bytes(&bytes[..1]), Piece::Bytes(&[]), Piece::Bytes(&bytes[1..])], None)
                .unwrap();
            assert_eq!(get(&*store, "a/b", 1 << 20).unwrap().unwrap(), bytes);
            let old = store.open("a/b").unwrap();
            let pieces = [
                Piece::Kept { offset: 200_001, length: 99_999 },
                Piece::Bytes(&more),
                Piece::Kept { offset: 0, length: 0 },
                Piece::Kept { offset: 3, length: 70_000 },
                Piece::Kept { offset: 70_005, length: 10 },
            ];
            // Another writer may replace the old object before the new one is stored.
            store.set("a/b", b"other").unwrap();
            store.set_parts("a/b", &pieces, Some(&*old)).unwrap();
            let expected = [&bytes[200_001..], &more, &bytes[3..70_003], &bytes[70_005..70_015]].concat();
            assert!(get(&*store, "a/b", 1 << 20).unwrap().unwrap() == expected, "{store:?}");
            let outside = [Piece::Kept { offset: 299_999, length: 2 }];
            assert!(store.set_parts("a/b", &outside, Some(&*old)).is_err());
            assert!(store.set_parts("a/b", &outside, None).is_err());
            let many = vec![Piece::Bytes(b"xy"); 3000];
            store.set_parts("a/b", &many, None).unwrap();
            assert_eq!(get(&*store, "a/b", 1 << 20).unwrap().unwrap(), b"xy".repeat(3000));
        }
        let left: Vec<_> = std::fs::read_dir(folder.join("new/a")).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file remains");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
