//! URIs and relative paths in the tree, as keys of the file's store.

use crate::error::{Error, Result};

/// Resolves a relative URI in the file `key` to the key of another file in or below its folder.
pub(super) fn relative_key(key: &str, uri: &str) -> Result<String> {
    let shown = || uri.chars().take(200).collect::<String>();
    let first = uri.split('/').next().unwrap_or_default();
    if first.contains(':') || uri.starts_with('/') {
        let what = format!("{:?} is not a relative path; files outside this file's folder are not read", shown());
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
        let what = format!("{shown:?} is outside the folder of this file; files there are not read");
        return Err(Error::unsupported(what));
    }
    let path = names.join("/");
    Ok(key.rsplit_once('/').map_or(path.clone(), |(folder, _)| format!("{folder}/{path}")))
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
}
