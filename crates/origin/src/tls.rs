//! The same connections under TLS.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::wire::Wire;

/// What every client's first byte is, if it speaks TLS: the type of a handshake
/// record. No request begins with it.
pub(crate) const HANDSHAKE: u8 = 22;

/// Reads a certificate, with those that lead to it, and its key, each a PEM file.
pub(crate) fn config(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read a certificate from {}", certificate.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a key from {}", key.display()))?;
    // Named, because a program may link a second provider, and rustls then
    // refuses to choose.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("{certificate} and {key} do not make a server")
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A connection under TLS. The handshake comes with the first read.
pub(crate) type Tls = StreamOwned<ServerConnection, TcpStream>;

impl Wire for Tls {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}
