//! Connections with the options of `object_store`. Its own ones follow redirects with all headers, which may be secret.

use std::time::Duration;

use object_store::client::HttpClient;
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, NoProxy, Proxy};

/// Whether an option is true.
pub(super) fn flag(options: &ClientOptions, key: ClientConfigKey) -> bool {
    let value = options.get_config_value(&key).unwrap_or_default();
    matches!(&*value.to_ascii_lowercase(), "1" | "true" | "on" | "yes" | "y")
}

/// Creates a client that has no timeouts but that of connecting, and that follows no redirects.
pub(super) fn client(options: &ClientOptions) -> object_store::Result<HttpClient> {
    let failed = |error: reqwest::Error| object_store::Error::Generic { store: "HTTP", source: Box::new(error) };
    let value = |key: ClientConfigKey| options.get_config_value(&key);
    let mut builder = Client::builder().redirect(Policy::none()).referer(false);
    let agent = value(ClientConfigKey::UserAgent);
    builder = builder.user_agent(agent.unwrap_or_else(|| concat!("tegula/", env!("CARGO_PKG_VERSION")).into()));
    if let Some(url) = value(ClientConfigKey::ProxyUrl) {
        if let Some(certificate) = value(ClientConfigKey::ProxyCaCertificate) {
            let certificate = Certificate::from_pem(certificate.as_bytes()).map_err(failed)?;
            builder = builder.tls_certs_merge([certificate]);
        }
        let excluded = value(ClientConfigKey::ProxyExcludes).and_then(|hosts| NoProxy::from_string(&hosts));
        builder = builder.proxy(Proxy::all(url).map_err(failed)?.no_proxy(excluded));
    }
    if flag(options, ClientConfigKey::NoSystemCertificates) {
        builder = builder.tls_certs_only([]);
    }
    if flag(options, ClientConfigKey::AllowInvalidCertificates) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if flag(options, ClientConfigKey::Http1Only) {
        builder = builder.http1_only();
    }
    if flag(options, ClientConfigKey::Http2Only) {
        builder = builder.http2_prior_knowledge();
    }
    if let Some(time) = value(ClientConfigKey::ConnectTimeout).and_then(|text| seconds(&text)) {
        builder = builder.connect_timeout(time);
    }
    if let Some(time) = value(ClientConfigKey::PoolIdleTimeout).and_then(|text| seconds(&text)) {
        builder = builder.pool_idle_timeout(time);
    }
    if let Some(count) = value(ClientConfigKey::PoolMaxIdlePerHost).and_then(|text| text.parse().ok()) {
        builder = builder.pool_max_idle_per_host(count);
    }
    Ok(HttpClient::new(builder.no_gzip().no_brotli().no_zstd().no_deflate().build().map_err(failed)?))
}

/// Parses a duration such as `3`, `1.5s`, `5 seconds` or `1s 500ms`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (mut total, mut rest) = (0.0, text.trim());
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let scale = match unit {
            "ms" | "millis" | "msec" => 1e-3,
            "us" | "usec" => 1e-6,
            "ns" | "nsec" => 1e-9,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = after.trim_start();
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_or_have_units() {
        let known = [("3", 3.0), ("0.5", 0.5), ("5s", 5.0), ("5 seconds", 5.0), ("1m 30s", 90.0), ("1s 500ms", 1.5)];
        for (text, wanted) in known {
            assert_eq!(seconds(text).map(|time| time.as_secs_f64()), Some(wanted), "{text}");
        }
        for text in ["-1", "s", "5 parsecs", "inf", "1e40"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
