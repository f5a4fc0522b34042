//! Causes of failed requests, without secrets: URLs may be signed, and servers repeat what they were sent.

use object_store::client::{HttpError, HttpErrorKind};

/// How the crate `object_store` begins the message of an answer with an error status; status and body follow.
const STATUS: &str = "Server returned non-2xx status code: ";

/// Returns the cause of an error.
pub(super) fn cause_of(error: &object_store::Error) -> String {
    let mut causes: Vec<&dyn std::error::Error> = vec![error];
    while let Some(cause) = causes.last().copied().and_then(std::error::Error::source) {
        causes.push(cause);
    }
    let tries = causes.iter().find_map(|cause| attempts(&cause.to_string())).unwrap_or_default();
    for cause in &causes {
        if let Some(answer) = cause.to_string().strip_prefix(STATUS) {
            return status(answer) + &tries;
        }
        if let Some(http) = cause.downcast_ref::<HttpError>() {
            let what = match http.kind() {
                HttpErrorKind::Timeout => "no answer before the timeout",
                HttpErrorKind::Connect => "cannot connect",
                HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection was closed",
                _ => "invalid answer",
            };
            let detail = causes.last().map(ToString::to_string).unwrap_or_default();
            return format!("{what}{tries}: {}", without_secrets(&detail)) + hint(error);
        }
    }
    without_secrets(&causes.last().map_or_else(|| error.to_string(), ToString::to_string)) + hint(error)
}

/// Whether the server answered that a range is outside the object.
pub(super) fn is_out_of_range(error: &object_store::Error) -> bool {
    let text = cause_of(error);
    text.starts_with("416 ") || text.contains("Wanted range starting at")
}

/// Explains failed requests to the addresses where machines in a cloud get their credentials.
fn hint(error: &object_store::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("169.254.169.254") || text.contains("metadata.google") {
        " (no credentials were found; to read public data, set the option \"anonymous\")"
    } else {
        ""
    }
}

/// Returns the status of an answer, with the error code that S3 and Azure put in the body.
fn status(answer: &str) -> String {
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() < 64 && code.chars().all(|c| c.is_ascii_alphanumeric()));
    code.map_or(status.trim_end_matches([':', ' ']).to_owned(), |code| format!("{status} ({code})"))
}

/// Returns the number of attempts if there were several.
fn attempts(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(", after ")?;
    let (retries, _) = rest.split_once(" retries")?;
    let retries: usize = retries.parse().ok()?;
    Some(format!(", tried {} times", retries + 1))
}

/// Returns a message with the queries and users of its URLs removed.
fn without_secrets(text: &str) -> String {
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
        assert_eq!(without_secrets("cannot GET https://me:pass@h/x?sig=1 at all"), "cannot GET https://h/x at all");
        let body =
            "403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(status(body), "403 Forbidden (SignatureDoesNotMatch)");
        assert_eq!(status("404 Not Found: <html>?</html>"), "404 Not Found");
        assert_eq!(status("500 Internal Server Error: "), "500 Internal Server Error");
        assert_eq!(
            attempts("Error performing GET x in 1s, after 3 retries, max_retries: 3"),
            Some(", tried 4 times".into())
        );
    }
}
