//! URLs and options of remote stores, and the clients made from them.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, HeaderMap, HeaderValue, ObjectStore};
use reqwest::StatusCode;
use url::Url;

use super::connect;
use super::patience::RetryPolicy;
use super::transport::{Connector, Service, Settings};
use crate::error::{Error, Result};

/// How a [`RemoteStore`](super::RemoteStore) reaches its server.
///
/// | option | meaning |
/// |---|---|
/// | `anonymous` | `true`: requests are not signed |
/// | `endpoint`, `region` | of the service, if not the provider's default |
/// | `allow_http` | whether the service may be reached without TLS; by default if the URL or `endpoint` is `http://` |
/// | `timeout`, `connect_timeout` | maximum seconds without a byte from the server (30), and of connecting (5) |
/// | `retry_timeout`, `retries` | seconds in which a failed request is repeated (30), and the maximum number of times |
/// | `missing_statuses` | statuses that mean that an object does not exist, such as `403,404`; default: `404` |
/// | `max_download` | maximum bytes of an object read whole because its server has no byte ranges (1 GiB) |
/// | any other | of the crate `object_store`, such as `access_key_id`, `secret_access_key`, `request_payer`,
/// `proxy_url` |
///
/// Options that are not given come from the provider's environment variables: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, ...
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RemoteOptions {
    /// Values of the options by name.
    pub options: BTreeMap<String, String>,
    /// Headers that every request gets.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for RemoteOptions {
    /// Shows only names, as values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.options.keys()).entries(self.headers.keys()).finish()
    }
}

/// Alternative names of options.
const ALIASES: &[(&str, &str)] =
    &[("anon", "anonymous"), ("endpoint_url", "endpoint"), ("key", "access_key_id"), ("secret", "secret_access_key")];

/// A server, or a bucket there, with the options to reach it.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) service: Service,
    /// The URL of the server or bucket, without a path, with user, password and query if there are any.
    base: Url,
    /// The options by their main names. Together with the URL they distinguish clients.
    options: RemoteOptions,
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        (self.base.as_str(), &self.options) == (other.base.as_str(), &other.options)
    }
}

impl Eq for Spec {}

impl Hash for Spec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.base.as_str(), &self.options).hash(state);
    }
}

/// Names of options, for errors about others.
const NAMES: &[&str] = &[
    "anonymous",
    "endpoint",
    "region",
    "allow_http",
    "timeout",
    "connect_timeout",
    "retries",
    "retry_timeout",
    "missing_statuses",
    "max_download",
    "headers",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "token",
    "request_payer",
    "virtual_hosted_style_request",
    "unsigned_payload",
    "proxy_url",
    "proxy_excludes",
    "user_agent",
    "allow_invalid_certificates",
    "account_name",
    "account_key",
    "sas_token",
    "service_account",
    "service_account_key",
];

fn wrong(name: &str, wanted: &str) -> Error {
    Error::unsupported(format!("the option {name:?} must be {wanted}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration> {
    connect::seconds(value).ok_or_else(|| wrong(name, "a number of seconds"))
}

fn statuses(name: &str, value: &str) -> Result<Vec<StatusCode>> {
    let codes = value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|code| !code.is_empty());
    let codes = codes.map(|code| code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()));
    let codes: Option<Vec<_>> = codes.collect();
    let valid = codes.filter(|codes| codes.iter().all(StatusCode::is_client_error));
    valid.ok_or_else(|| wrong(name, "statuses from 400 to 499, such as (403, 404)"))
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match &*value.to_ascii_lowercase() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(name, "true or false")),
    }
}

impl Spec {
    /// Splits a URL into the server or bucket and the path in it.
    pub(super) fn parse(text: &str, options: &RemoteOptions) -> Result<(Self, String)> {
        // The message does not repeat the text, which may contain a password even if it is not a URL.
        let mut url = Url::parse(text).map_err(|error| Error::unsupported(format!("not a URL: {error}")))?;
        let service = match url.scheme() {
            "http" | "https" => Service::Http,
            "s3" | "s3a" => Service::S3,
            "gs" => Service::Google,
            "az" | "abfs" | "abfss" => Service::Azure,
            other => {
                return Err(Error::unsupported(format!(
                    "{other}:// is not the URL of a store; supported are http, https, s3, gs, az, abfs, abfss and file"
                )));
            }
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Error::unsupported(format!("the URL {}://... has no server or bucket", url.scheme())));
        }
        let path = Path::from_url_path(url.path());
        let path = path.map_err(|error| Error::unsupported(format!("the path of the URL is not a key: {error}")))?;
        url.set_path("");
        url.set_fragment(None);
        if service != Service::Http {
            url.set_query(None);
        }
        let mut named = BTreeMap::new();
        for (name, value) in &options.options {
            let lower = name.to_ascii_lowercase();
            let name = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(&*lower, |(_, name)| name);
            named.insert(name.to_owned(), value.clone());
        }
        let options = RemoteOptions { options: named, headers: options.headers.clone() };
        Ok((Self { service, base: url, options }, path.to_string()))
    }

    /// Returns the URL for messages: without user, password and query.
    pub(super) fn display(&self) -> String {
        let mut url = self.base.clone();
        // In abfss:// the user is the container.
        if self.service == Service::Http {
            let _ = url.set_username("");
        }
        let _ = url.set_password(None);
        url.set_query(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Whether the service can return a number of bytes from the end.
    pub(super) fn has_suffix_ranges(&self) -> bool {
        self.service != Service::Azure
    }

    /// Returns how requests are sent.
    pub(super) fn settings(&self) -> Result<Settings> {
        let mut settings = Settings {
            headers: self.headers()?,
            silence: Duration::from_secs(30),
            policy: RetryPolicy { retries: usize::MAX, timeout: Duration::from_secs(30) },
            missing: Vec::new(),
            max_download: 1 << 30,
            service: self.service,
            anonymous: false,
        };
        for (name, value) in &self.options.options {
            let number = || value.parse().map_err(|_| wrong(name, "a whole number"));
            match &**name {
                "anonymous" => settings.anonymous = flag(name, value)?,
                "timeout" => settings.silence = seconds(name, value)?,
                "retry_timeout" => settings.policy.timeout = seconds(name, value)?,
                "retries" => settings.policy.retries = number()? as usize,
                "missing_statuses" => settings.missing = statuses(name, value)?,
                "max_download" => settings.max_download = number()?,
                _ => {}
            }
        }
        Ok(settings)
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.options.headers {
            let name = reqwest::header::HeaderName::from_str(name);
            let name = name.map_err(|_| Error::unsupported("the name of a header is not valid"))?;
            let value = HeaderValue::from_str(value);
            let mut value =
                value.map_err(|_| Error::unsupported(format!("the value of the header {name} is not valid")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// Creates the client.
    pub(super) fn connect(&self, connector: Connector) -> Result<Arc<dyn ObjectStore>> {
        let anonymous = connector.settings.anonymous;
        let mut http = ClientOptions::new();
        let mut allow_http = (self.base.scheme() == "http").then_some(true);
        let mut others = Vec::new();
        for (name, value) in &self.options.options {
            match &**name {
                "anonymous" | "timeout" | "retry_timeout" | "retries" | "missing_statuses" | "max_download" => {}
                "allow_http" => allow_http = Some(flag(name, value)?),
                "connect_timeout" => http = http.with_connect_timeout(seconds(name, value)?),
                _ => match ClientConfigKey::from_str(name) {
                    Ok(key) => http = http.with_config(key, value),
                    Err(_) => others.push((&**name, value)),
                },
            }
        }
        let is_plain = |endpoint: Option<&str>| {
            endpoint.is_some_and(|url| url.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://")))
        };
        if is_plain(self.options.options.get("endpoint").map(String::as_str)) {
            allow_http = allow_http.or(Some(true));
        }
        if let Some(allowed) = allow_http {
            http = http.with_allow_http(allowed);
        }
        // Signed together with the request.
        if self.service != Service::Http && !connector.settings.headers.is_empty() {
            http = http.with_default_headers(connector.settings.headers.clone());
        }
        let unknown = |name: &str| {
            let near = near_match(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            Error::unsupported(format!("{name:?} is not an option of {}:// URLs{near}", self.base.scheme()))
        };
        let url = self.base.as_str();
        let built: object_store::Result<Arc<dyn ObjectStore>> = match self.service {
            Service::Http => {
                if let Some((name, _)) = others.first().filter(|(name, _)| !matches!(*name, "region" | "endpoint")) {
                    return Err(unknown(name));
                }
                let builder = HttpBuilder::new().with_url(url).with_client_options(http);
                builder.with_http_connector(connector).build().map(|store| Arc::new(store) as _)
            }
            Service::S3 => {
                // Later options win, so that the environment's client options apply only where none are given.
                let mut builder = AmazonS3Builder::from_env().with_url(url);
                if allow_http.is_none() {
                    let allowed = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
                    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
                    let allowed = allowed.filter(|_| std::env::var_os("AWS_ALLOW_HTTP").is_some());
                    let allowed = allowed.unwrap_or_else(|| is_plain(endpoint.as_deref()).to_string());
                    http = http.with_config(ClientConfigKey::AllowHttp, allowed);
                }
                builder = builder.with_client_options(http).with_http_connector(connector);
                for (name, value) in others {
                    let key = AmazonS3ConfigKey::from_str(name).map_err(|_| unknown(name))?;
                    builder = builder.with_config(key, value);
                }
                if anonymous {
                    builder = builder.with_skip_signature(true);
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
            Service::Google => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_client_options(http);
                let mut builder = builder.with_http_connector(connector);
                for (name, value) in others {
                    let name = if name == "endpoint" { "google_base_url" } else { name };
                    let key = GoogleConfigKey::from_str(name).map_err(|_| unknown(name))?;
                    builder = builder.with_config(key, value);
                }
                if anonymous {
                    builder = builder.with_skip_signature(true);
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
            Service::Azure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_client_options(http);
                let mut builder = builder.with_http_connector(connector);
                for (name, value) in others {
                    let key = AzureConfigKey::from_str(name).map_err(|_| unknown(name))?;
                    builder = builder.with_config(key, value);
                }
                if anonymous {
                    builder = builder.with_skip_signature(true);
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
        };
        built.map_err(|error| Error::store(super::failure::cause_of(&error)))
    }
}

/// Returns the name of the option that was probably meant.
fn near_match(name: &str) -> Option<&'static str> {
    let near = NAMES.iter().map(|known| (distance(name, known), *known)).min()?;
    (near.0 <= 1 + name.len() / 5).then_some(near.1)
}

/// Returns the number of letters to insert, remove or replace to make one word of another.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<(Service, String, String)> {
        Spec::parse(url, &RemoteOptions::default()).map(|(spec, path)| (spec.service, spec.display(), path))
    }

    #[test]
    fn urls_are_split_and_shown_without_secrets() {
        let known = [
            ("https://h:8080/a%20b/c.zarr/", Service::Http, "https://h:8080", "a b/c.zarr"),
            ("https://me:pass@h/x.asdf?sig=secret#y", Service::Http, "https://h", "x.asdf"),
            ("http://h", Service::Http, "http://h", ""),
            ("s3://bucket/a/b", Service::S3, "s3://bucket", "a/b"),
            ("gs://bucket", Service::Google, "gs://bucket", ""),
            ("az://box/a", Service::Azure, "az://box", "a"),
            ("abfss://box@me.dfs.core.windows.net/a", Service::Azure, "abfss://box@me.dfs.core.windows.net", "a"),
        ];
        for (url, service, display, path) in known {
            assert_eq!(parsed(url).unwrap(), (service, display.to_owned(), path.to_owned()), "{url}");
        }
        for url in ["ftp://h/a", "s3:///a", "nothing", "http://"] {
            assert_eq!(parsed(url).unwrap_err().kind(), crate::ErrorKind::Unsupported, "{url}");
        }
    }

    #[test]
    fn values_of_options_are_not_shown() {
        let options = [("secret_access_key".to_owned(), "hidden".to_owned())].into();
        let headers = [("authorization".to_owned(), "hidden".to_owned())].into();
        let shown = format!("{:?}", RemoteOptions { options, headers });
        assert!(shown.contains("secret_access_key") && !shown.contains("hidden"), "{shown}");
    }
}
