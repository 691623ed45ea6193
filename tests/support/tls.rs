//! Certificates made in the test, for [`Server::start_tls`](super::Server::start_tls).

use std::sync::{Arc, LazyLock};

use plex_auth::reqwest;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::NoClientAuth;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;

/// The one that the tests' clients trust: keys take time to make.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// Who signs the servers' certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // OpenSSL takes a certificate whose issuer has its own name for a self-signed one, and
        // rustls the issuer for one of the same name.
        let name = format!("plex-auth tests {:?}", &key.public_key_raw()[..4]);
        params.distinguished_name.push(DnType::CommonName, name);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// Its own certificate.
    pub fn root_der(&self) -> &[u8] {
        &self.der
    }

    /// What makes a client trust it, to go through `tls_certs_only`.
    pub fn root(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_der(&self.der).unwrap()
    }

    /// A server's settings, with a certificate for `name`, a host or an IP address.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.sign(certificate(&[name]), Arc::new(NoClientAuth))
    }

    /// The same with this certificate, for clients whose certificate the verifier takes.
    pub fn sign(
        &self,
        params: CertificateParams,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(clients);
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }
}

/// One for these names, to be signed.
pub fn certificate(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}
