//! What went wrong, told without what may be secret: URLs are signed, and servers repeat what they were sent.

use object_store::client::{HttpError, HttpErrorKind};

/// How the crate `object_store` begins to tell of an answer that is an error; the status and the body follow.
const STATUS: &str = "Server returned non-2xx status code: ";

/// The cause of an error.
pub(super) fn said(error: &object_store::Error) -> String {
    let mut causes: Vec<&dyn std::error::Error> = vec![error];
    while let Some(cause) = causes.last().copied().and_then(std::error::Error::source) {
        causes.push(cause);
    }
    let tries = causes.iter().find_map(|cause| tried(&cause.to_string())).unwrap_or_default();
    for cause in &causes {
        if let Some(answer) = cause.to_string().strip_prefix(STATUS) {
            return status(answer) + &tries;
        }
        if let Some(http) = cause.downcast_ref::<HttpError>() {
            let what = match http.kind() {
                HttpErrorKind::Timeout => "no answer in time",
                HttpErrorKind::Connect => "cannot connect",
                HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection broke off",
                _ => "no valid answer",
            };
            let detail = causes.last().map(ToString::to_string).unwrap_or_default();
            return format!("{what}{tries}: {}", plain(&detail)) + hint(error);
        }
    }
    plain(&causes.last().map_or_else(|| error.to_string(), ToString::to_string)) + hint(error)
}

/// Whether the server said that a range lies outside of the object.
pub(super) fn is_beyond(error: &object_store::Error) -> bool {
    let text = said(error);
    text.starts_with("416 ") || text.contains("Wanted range starting at")
}

/// Where there are no credentials, those of a machine in the cloud are looked for.
fn hint(error: &object_store::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("169.254.169.254") || text.contains("metadata.google") {
        " (no credentials were found; the option \"anonymous\" reads what is public)"
    } else {
        ""
    }
}

/// The status and, of an answer of S3 or Azure, its code.
fn status(answer: &str) -> String {
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() < 64 && code.chars().all(|c| c.is_ascii_alphanumeric()));
    code.map_or(status.trim_end_matches([':', ' ']).to_owned(), |code| format!("{status} ({code})"))
}

/// How often it was tried, if more than once.
fn tried(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(", after ")?;
    let (retries, _) = rest.split_once(" retries")?;
    let retries: usize = retries.parse().ok()?;
    Some(format!(", tried {} times", retries + 1))
}

/// A message without the queries and users of URLs.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        let word = word.split_once('?').map_or(word, |(before, _)| before);
        match word.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
            Some((scheme, Some((_, rest)))) => format!("{scheme}://{rest}"),
            _ => word.to_owned(),
        }
    };
    text.chars().take(300).collect::<String>().split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        assert_eq!(plain("cannot GET https://me:pass@h/x?sig=1 at all"), "cannot GET https://h/x at all");
        let body =
            "403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(status(body), "403 Forbidden (SignatureDoesNotMatch)");
        assert_eq!(status("404 Not Found: <html>?</html>"), "404 Not Found");
        assert_eq!(status("500 Internal Server Error: "), "500 Internal Server Error");
        assert_eq!(
            tried("Error performing GET x in 1s, after 3 retries, max_retries: 3"),
            Some(", tried 4 times".into())
        );
    }
}
