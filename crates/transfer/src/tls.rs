//! Which certificates to trust.

use std::fs;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::Options;

/// Verifies servers against the certificates of `--cacert`, or else against the
/// roots that Mozilla trusts, which are built in: the machine needs none. An error
/// says what is wrong with the file; without one, nothing can be.
pub fn config(options: &Options) -> Result<Arc<ClientConfig>, String> {
    let Some(path) = &options.cacert else {
        return config_trusting(None);
    };
    let pem = fs::read(path).map_err(|wrong| wrong.to_string());
    let config = pem.and_then(|pem| config_trusting(Some(&pem)));
    config.map_err(|why| format!("{}: {why}", path.display()))
}

/// The same for what such a file has in it, where that was read by another machine.
pub fn config_trusting(pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let certificates = certificates.map_err(|wrong| wrong.to_string())?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err("there is no certificate in it".to_owned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|wrong| wrong.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
