//! URIs and relative paths in the tree, as keys of the file's store or as paths of local files.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Resolves a relative URI in the file `key` to the key of another file in or below its folder.
pub(super) fn relative_key(key: &str, uri: &str) -> Result<String> {
    let shown = || uri.chars().take(200).collect::<String>();
    let first = uri.split('/').next().unwrap_or_default();
    if first.contains(':') || uri.starts_with('/') {
        let what = format!(
            "{:?} is not a relative path; files outside this file's folder are only read with the option allow_external",
            shown()
        );
        return Err(Error::unsupported(what));
    }
    let path = percent_decode(uri).ok_or_else(|| Error::metadata(format!("{:?} is not a valid URI", shown())))?;
    sibling_key(key, &path)
}

/// Resolves a relative path in the file `key` to a key in or below its folder.
pub(super) fn sibling_key(key: &str, path: &str) -> Result<String> {
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") || path.contains(['\0', '\\']) {
        let shown: String = path.chars().take(200).collect();
        let what = format!(
            "{shown:?} is outside the folder of this file; files there are only read with the option allow_external"
        );
        return Err(Error::unsupported(what));
    }
    let path = names.join("/");
    Ok(key.rsplit_once('/').map_or(path.clone(), |(folder, _)| format!("{folder}/{path}")))
}

/// Resolves a path or URI to the path of a local file anywhere; `None` if it is a URL of a server, or relative and the
/// file that contains it is not local. `from` is the path of that file.
pub(super) fn local_path(from: Option<&Path>, uri: &str) -> Option<PathBuf> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        },
        None if uri.split('/').next().is_some_and(|first| first.contains(':')) => return None,
        None => uri,
    };
    let path = percent_decode(path).filter(|path| !path.contains('\0'))?;
    if path.starts_with('/') {
        return Some(PathBuf::from(path));
    }
    if uri.starts_with("file://") {
        return None;
    }
    Some(from?.parent()?.join(path))
}

/// Decodes escapes such as `%20`; `None` if an escape or the UTF-8 is invalid.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_resolve_within_the_folder() {
        let key = |from: &str, uri: &str| relative_key(from, uri).ok();
        assert_eq!(key("a.asdf", "a0000.asdf").as_deref(), Some("a0000.asdf"));
        assert_eq!(key("folder/a.asdf", "./sub/b%20c.asdf").as_deref(), Some("folder/sub/b c.asdf"));
        for uri in ["/etc/a.asdf", "file:///a.asdf", "http://x/a.asdf", "../a.asdf", "b/%2e%2e/a.asdf", "%zz", "a%"] {
            assert_eq!(key("folder/a.asdf", uri), None, "{uri}");
        }
    }

    #[test]
    fn uris_lead_to_local_files() {
        let path = |uri: &str| local_path(Some(Path::new("/data/sci/a.asdf")), uri);
        for (uri, expected) in [
            ("../calib/x.asdf", "/data/sci/../calib/x.asdf"),
            ("/other/a%20b.asdf", "/other/a b.asdf"),
            ("file:///other/x.asdf", "/other/x.asdf"),
            ("file://localhost/other/x.asdf", "/other/x.asdf"),
            ("file:/other/x.asdf", "/other/x.asdf"),
        ] {
            assert_eq!(path(uri).as_deref(), Some(Path::new(expected)), "{uri}");
        }
        for uri in ["http://x/a.asdf", "s3://bucket/a.asdf", "file://server/a.asdf", "%zz", "/a%00"] {
            assert_eq!(path(uri), None, "{uri}");
        }
        assert_eq!(local_path(None, "../x.asdf"), None);
    }
}
