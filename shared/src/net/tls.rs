//! TLS to a server: RADIUS over TLS (RFC 6614), and web pages.
//!
//! The server's certificate is verified against the authorities given, or those
//! of this host, and against the server's name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::reason::Reason;

/// Which certificates are used.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// PEM file of the authorities that may have signed the server's
    /// certificate; without it, those of this host.
    pub ca_file: Option<PathBuf>,
    /// PEM files of our own certificate, its chain behind it, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate; without it, the host's.
    pub server_name: Option<String>,
}

/// What is needed to begin; the files have been read.
#[derive(Clone)]
pub struct Client {
    connector: TlsConnector,
    server_name: Option<String>,
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// `TLSv1_3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// For how long the server's certificate is still good.
    pub expires_in: Option<Duration>,
}

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in authorities(settings.ca_file.as_deref())? {
            // A host's store may hold some that are too old to be read.
            let added = roots.add(certificate);
            if let (Err(error), Some(path)) = (added, &settings.ca_file) {
                return Err(format!("{}: {error}", path.display()));
            }
        }
        if roots.is_empty() {
            return Err("no certificate authorities are known: give --ca-file".into());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?
            .with_root_certificates(roots);
        let config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = read_certificates(certificate)?;
                let key_path = key.display();
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("cannot read the key in {key_path}: {error}"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    format!("{} and {key_path} do not go together: {error}", certificate.display())
                })?
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, server_name: settings.server_name.clone() })
    }

    /// Begins TLS on a connection to `host`. Gives up at `deadline`.
    ///
    /// # Errors
    /// [`Reason::TlsFailed`], [`Reason::Silent`] or [`Reason::Closed`], and a
    /// sentence.
    pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        deadline: Instant,
    ) -> Result<(TlsStream<S>, Agreed), (Reason, String)> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| (Reason::Local, format!("'{name}' is no name for TLS")))?;
        let handshake = self.connector.connect(name, stream);
        match tokio::time::timeout_at(deadline.into(), handshake).await {
            Err(_) => Err((Reason::Silent, "no answer to the TLS handshake".into())),
            Ok(Err(error)) => Err(describe_error(&error)),
            Ok(Ok(stream)) => {
                let agreed = agreed(&stream);
                Ok((stream, agreed))
            }
        }
    }
}

/// The reason and a sentence for an error of a TLS stream.
pub fn describe_error(error: &std::io::Error) -> (Reason, String) {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let text = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the server's certificate is not good: {}", describe_certificate_error(why))
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the server refuses TLS with the alert {alert:?}")
        }
        Some(error) => format!("TLS failed: {error}"),
        None => return (Reason::Closed, "the server closed the connection during TLS".into()),
    };
    (Reason::TlsFailed, text)
}

fn describe_certificate_error(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "an unknown authority has signed it".into(),
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("it is not for the name '{}'", expected.to_str())
        }
        other => other.to_string(),
    }
}

fn agreed<S>(stream: &TlsStream<S>) -> Agreed {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map(|version| format!("{version:?}"));
    let suite = connection.negotiated_cipher_suite();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.and_then(|octets| Certificate::from_der(octets).ok());
    let end = certificate.map(|found| found.tbs_certificate.validity.not_after.to_unix_duration());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Agreed {
        version: version.unwrap_or_default(),
        cipher: suite.map(|suite| format!("{:?}", suite.suite())).unwrap_or_default(),
        expires_in: end.map(|end| end.saturating_sub(now)),
    }
}

fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    match file {
        Some(path) => read_certificates(path),
        None => Ok(rustls_native_certs::load_native_certs().certs),
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!("cannot read certificates in {}: {error}", path.display())
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if found.is_empty() { Err(wrong(&"there is none")) } else { Ok(found) }
}
