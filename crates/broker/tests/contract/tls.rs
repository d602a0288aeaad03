//! `amqps://`: real TLS, through a TLS listener before the broker's plain port.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use interline_broker::{AttemptError, ConnectError, connect};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::under_test::{UnderTest, config_of, message, one_queue};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    an_own_certificate_authority_is_trusted_when_it_is_configured,
    an_unknown_issuer_is_refused,
    a_certificate_for_another_host_is_refused,
];

/// A TLS listener for the host `localhost`, and the file with its certificate authority.
struct TlsFront {
    port: u16,
    ca_file: tempfile::NamedTempFile,
    _tasks: JoinSet<()>,
}

impl TlsFront {
    async fn before(address: String) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("a CA").pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &issuer).expect("a certificate").into();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a matching key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener =
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, address) = (acceptor.clone(), address.clone());
                connections.spawn(async move {
                    // A client that refuses our certificate hangs up; the test sees its side of that.
                    let Ok(mut secure) = acceptor.accept(socket).await else { return };
                    let mut plain = TcpStream::connect(address).await.expect("the broker is up");
                    copy_bidirectional(&mut secure, &mut plain).await.unwrap_or_default();
                });
            }
        });
        let mut ca_file = tempfile::NamedTempFile::new().expect("a file");
        ca_file.write_all(ca_pem.as_bytes()).expect("written");
        Self { port, ca_file, _tasks: tasks }
    }

    fn url(&self, host: &str) -> String {
        format!("amqps://guest:guest@{host}:{}/%2f", self.port)
    }
}

fn is_tls_refusal(error: &ConnectError) -> bool {
    let ConnectError::NoneUsable { failures } = error else { return false };
    failures.iter().all(|failure| matches!(failure.error, AttemptError::Tls(_)))
}

async fn an_own_certificate_authority_is_trusted_when_it_is_configured(under_test: Arc<UnderTest>) {
    let front = TlsFront::before(under_test.address()).await;
    let mut config = config_of(&[&front.url("localhost")]);
    config.ca_file = Some(front.ca_file.path().to_owned());
    let link = connect(&config).await.expect("a secure link");
    let name = "tls";
    link.declare(&one_queue(name, |_| {})).await.expect("declared");
    let publisher = link.publisher(1).await.expect("a publisher");
    publisher.publish(message(name, 1)).await.expect("confirmed");
    assert_eq!(link.depth(name).await.expect("the queue exists").messages, 1);
}

async fn an_unknown_issuer_is_refused(under_test: Arc<UnderTest>) {
    let front = TlsFront::before(under_test.address()).await;
    let error =
        connect(&config_of(&[&front.url("localhost")])).await.expect_err("nobody knows the issuer");
    assert!(is_tls_refusal(&error), "{error:?}");
    assert!(error.to_string().contains("ca_file"), "{error}");
}

async fn a_certificate_for_another_host_is_refused(under_test: Arc<UnderTest>) {
    let front = TlsFront::before(under_test.address()).await;
    let mut config = config_of(&[&front.url("127.0.0.1")]);
    config.ca_file = Some(front.ca_file.path().to_owned());
    let error = connect(&config).await.expect_err("it is for localhost");
    assert!(is_tls_refusal(&error), "{error:?}");
}
