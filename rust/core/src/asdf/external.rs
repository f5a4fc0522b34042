//! Blocks in separate files beside the main file, and what killed writers left of them.
//!
//! The separate files of `a.asdf` are `a0000.asdf` and so on. A writer gives new ones numbers that no file has, then
//! replaces the main file, then removes the ones before: at every moment the main file and its blocks belong together.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::block::BLOCK_MAGIC;
use super::file::find;
use super::nodes::external_uri;
use super::open::AsdfFile;
use crate::error::{Place, Result};
use crate::store::{NamedFile, left_over_within};

/// Start of the comment in the header of a separate file; the name of the main file as a URI follows.
const COMMENT: &str = "TEGULA_BLOCK_OF ";

/// Names of the separate files of a main file.
pub(super) struct ExternalNames {
    main: PathBuf,
    stem: String,
}

impl ExternalNames {
    pub(super) fn of(main: &Path) -> Self {
        let stem = main.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self { main: main.to_owned(), stem: stem.unwrap_or_default() }
    }

    pub(super) fn name(&self, number: u64) -> String {
        format!("{}{number:04}.asdf", self.stem)
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.main.with_file_name(self.name(number))
    }

    /// Returns the comment that marks the separate files.
    pub(super) fn comment(&self) -> String {
        format!("{COMMENT}{}", external_uri(&file_name(&self.main)))
    }

    fn number(&self, name: &str) -> Option<u64> {
        let number = name.strip_prefix(&self.stem)?.strip_suffix(".asdf")?.parse().ok()?;
        (self.name(number) == name).then_some(number)
    }

    /// Returns the numbers of the files that have such a name.
    fn existing(&self) -> io::Result<BTreeSet<u64>> {
        Ok(siblings(&self.main)?.filter_map(|name| self.number(&name)).collect())
    }

    /// Returns a number above those of all existing files. Numbers are not used again, so that a reader of an old
    /// version finds no file instead of a wrong one.
    pub(super) fn first_free(&self) -> io::Result<u64> {
        Ok(self.existing()?.last().map_or(0, |last| last + 1))
    }

    /// Returns the numbers of the files that a tree may name.
    pub(super) fn mentioned(&self, tree: &[u8]) -> BTreeSet<u64> {
        let stem = external_uri(&self.stem);
        let (mut found, mut rest) = (BTreeSet::<u64>::new(), tree);
        while let Some(at) = find(rest, stem.as_bytes()) {
            let after = &rest[at + stem.len()..];
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&after[..digits]).ok().and_then(|digits| digits.parse::<u64>().ok());
            found.extend(number.filter(|_| after[digits..].starts_with(b".asdf")));
            rest = &rest[at + 1..];
        }
        found
    }

    /// Returns the separate files that no file refers to any more: those that the main file named `before`, and those
    /// that killed writers left. `kept` are in use.
    pub(super) fn unused(&self, before: &BTreeSet<u64>, kept: &BTreeSet<u64>) -> Result<Vec<PathBuf>> {
        let comment = self.comment();
        let is_unused = |number: &u64| {
            let file = AsdfFile::open_path(self.path(*number));
            file.is_ok_and(|file| {
                let is_ours = file.layout().comments.contains(&comment);
                let has_tree = file.tree().pairs(file.tree().root()).is_none_or(|pairs| !pairs.is_empty());
                is_ours || (before.contains(number) && !has_tree)
            })
        };
        let mut unused: Vec<u64> = self.existing()?.difference(kept).copied().filter(is_unused).collect();
        if unused.is_empty() {
            return Ok(Vec::new());
        }
        let name_of = |number: u64| external_uri(&self.name(number));
        // Another file, such as a copy of the main file, may refer to the same blocks.
        for other in siblings(&self.main)? {
            let path = self.main.with_file_name(&other);
            if path == self.main
                || !other.to_ascii_lowercase().contains("asdf")
                || self.number(&other).is_some_and(|n| unused.contains(&n))
            {
                continue;
            }
            let tree = tree_text(&path)?;
            unused.retain(|number| find(&tree, name_of(*number).as_bytes()).is_none());
        }
        Ok(unused.into_iter().map(|number| self.path(number)).collect())
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Iterates over the names of the files beside a file.
fn siblings(path: &Path) -> io::Result<impl Iterator<Item = String>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}

/// Reads a file up to its first block; empty if there is no such file.
pub(super) fn tree_text(path: &Path) -> io::Result<Vec<u8>> {
    const STEP: u64 = 64 << 10;
    let mut text = Vec::new();
    let mut file = match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => file,
        _ => return Ok(text),
    };
    while text.len() < super::yaml::Limits::DEFAULT.bytes {
        let from = text.len().saturating_sub(BLOCK_MAGIC.len());
        let count = (&mut file).take(STEP).read_to_end(&mut text)?;
        if let Some(end) = find(&text[from..], &BLOCK_MAGIC) {
            text.truncate(from + end);
            break;
        }
        if count == 0 {
            break;
        }
    }
    Ok(text)
}

/// Separate files of a write that is not complete; removed unless they are [kept](Self::keep).
#[derive(Default)]
pub(super) struct NewFiles(Vec<PathBuf>);

impl NewFiles {
    pub(super) fn add(&mut self, path: PathBuf) {
        self.0.push(path);
    }

    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Finds what killed writers of an ASDF file left in its folder: temporary files, locks, and separate files that no
/// file refers to. With `remove`, they are removed.
pub fn leftovers(main: &Path, remove: bool) -> Result<Vec<PathBuf>> {
    let find = || {
        let named = NamedFile::open(main)?;
        let folder = main.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names = ExternalNames::of(main);
        let mut unused = {
            // A writer makes its separate files before the main file names them.
            let _guard = named.lock()?;
            let unused = names.unused(&BTreeSet::new(), &names.mentioned(&tree_text(main)?))?;
            if remove {
                unused.iter().try_for_each(fs::remove_file)?;
            }
            unused
        };
        unused.extend(left_over_within(folder, 0, remove)?);
        Ok(unused)
    };
    find().place(|| main.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let names = ExternalNames::of(Path::new("/x/a b.asdf"));
        assert_eq!(names.path(12), Path::new("/x/a b0012.asdf"));
        assert_eq!(names.number("a b0012.asdf"), Some(12));
        assert_eq!(names.number("a b12345.asdf"), Some(12345));
        for name in ["a b012.asdf", "a b00012.asdf", "a b+012.asdf", "a b.asdf", "a b0012.fits", "b0012.asdf"] {
            assert_eq!(names.number(name), None, "{name}");
        }
        let tree = b"x: {source: a%20b0003.asdf}\ny: a%20b0010.asdf\nz: a%20b.asdf";
        assert_eq!(names.mentioned(tree), BTreeSet::from([3, 10]));
        assert_eq!(names.comment(), "TEGULA_BLOCK_OF a%20b.asdf");
    }
}
