//! URLs and options of remote stores, and the clients made from them.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::HttpConnector;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};
use url::Url;

use crate::error::{Error, Result};

/// How a [`RemoteStore`](super::RemoteStore) reaches its server.
///
/// | option | meaning |
/// |---|---|
/// | `anonymous` | `true`: requests are not signed |
/// | `endpoint`, `region` | of the service, if not the provider's default |
/// | `allow_http` | `true`: the service may be reached without TLS |
/// | `timeout`, `connect_timeout` | maximum seconds of a request (30) and of its connection (5) |
/// | `retries`, `retry_timeout` | maximum number of retries (3), and the seconds after which there are none (30) |
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

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Http,
    S3,
    Google,
    Azure,
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

fn seconds(name: &str, value: &str) -> Result<Duration> {
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| Error::unsupported(format!("the option {name:?} must be a number of seconds")))
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match &*value.to_ascii_lowercase() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::unsupported(format!("the option {name:?} must be true or false"))),
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

    /// Creates the client.
    pub(super) fn connect(&self, connector: impl HttpConnector) -> Result<Arc<dyn ObjectStore>> {
        let mut http = ClientOptions::new();
        let mut retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: 3, retry_timeout: Duration::from_secs(30) };
        let (mut anonymous, mut allow_http) = (false, self.base.scheme() == "http");
        let mut others = Vec::new();
        for (name, value) in &self.options.options {
            match &**name {
                "anonymous" => anonymous = flag(name, value)?,
                "allow_http" => allow_http = flag(name, value)?,
                "timeout" => http = http.with_timeout(seconds(name, value)?),
                "connect_timeout" => http = http.with_connect_timeout(seconds(name, value)?),
                "retry_timeout" => retry.retry_timeout = seconds(name, value)?,
                "retries" => {
                    let number = value.parse();
                    retry.max_retries =
                        number.map_err(|_| Error::unsupported("the option \"retries\" must be a number"))?;
                }
                _ => match ClientConfigKey::from_str(name) {
                    Ok(key) => http = http.with_config(key, value),
                    Err(_) => others.push((&**name, value)),
                },
            }
        }
        if allow_http {
            http = http.with_allow_http(true);
        }
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
        if !headers.is_empty() {
            http = http.with_default_headers(headers);
        }
        let unknown =
            |name: &str| Error::unsupported(format!("{:?} is not an option of {}:// URLs", name, self.base.scheme()));
        let url = self.base.as_str();
        let built: object_store::Result<Arc<dyn ObjectStore>> = match self.service {
            Service::Http => {
                if let Some((name, _)) = others.first().filter(|(name, _)| !matches!(*name, "region" | "endpoint")) {
                    return Err(unknown(name));
                }
                let builder = HttpBuilder::new().with_url(url).with_client_options(http).with_retry(retry);
                builder.with_http_connector(connector).build().map(|store| Arc::new(store) as _)
            }
            Service::S3 => {
                // Later options win, so that the environment's client options apply only where none are given.
                let mut builder = AmazonS3Builder::from_env().with_url(url);
                if !allow_http
                    && let Some(allowed) =
                        builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp))
                {
                    http = http.with_config(ClientConfigKey::AllowHttp, allowed);
                }
                builder = builder.with_client_options(http).with_retry(retry).with_http_connector(connector);
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
                let mut builder = builder.with_retry(retry).with_http_connector(connector);
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
                let mut builder = builder.with_retry(retry).with_http_connector(connector);
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
