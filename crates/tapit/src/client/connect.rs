//! Opens a connection, sends one request, returns the head of the answer.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{Address, ClientError, Upload};

/// Connecting, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

pub async fn send(address: &Address, request: Request<Upload>) -> Result<Response<Incoming>, ClientError> {
    match address {
        Address::Unix(path) => over(address, open(address, UnixStream::connect(path)).await?, request).await,
        Address::Tcp { host, port } => over(address, tcp(address, host, *port).await?, request).await,
        Address::Tls { host, port } => {
            let connector = TlsConnector::from(Arc::new(trust(address)?));
            let name = rustls::pki_types::ServerName::try_from(host.clone()).map_err(|error| ClientError::Connect {
                address: address.to_string(),
                source: Error::new(ErrorKind::InvalidInput, error),
            })?;
            let plain = tcp(address, host, *port).await?;
            over(address, open(address, connector.connect(name, plain)).await?, request).await
        }
    }
}

async fn tcp(address: &Address, host: &str, port: u16) -> Result<TcpStream, ClientError> {
    open(address, TcpStream::connect((host, port))).await
}

async fn open<T>(address: &Address, attempt: impl Future<Output = Result<T, Error>>) -> Result<T, ClientError> {
    let outcome = tokio::time::timeout(CONNECT, attempt).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, "connecting took too long")));
    outcome.map_err(|source| ClientError::Connect { address: address.to_string(), source })
}

/// The certificates that this machine trusts. `SSL_CERT_FILE` names others.
fn trust(address: &Address) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| ClientError::Tls { address: address.to_string(), source })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn over(
    address: &Address,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Upload>,
) -> Result<Response<Incoming>, ClientError> {
    let lost = |source| ClientError::Lost { address: address.to_string(), source };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // Its errors also reach the sender or the body; there is nobody else to tell.
    tokio::spawn(async move { connection.with_upgrades().await.unwrap_or_default() });
    sender.send_request(request).await.map_err(lost)
}
