//! Why no connection came about: DNS, TLS, a closed port, another protocol.

use std::{error::Error, io, iter};

use tokio_rustls::rustls::{self, CertificateError};

use super::Asked;
use crate::{egress::FetchError, sidecar::examine::Probe};

/// The cause in a few words, and what to do about it.
pub(super) fn explain(error: &(dyn Error + Send + Sync + 'static), asked: &Asked<'_>) -> (String, String) {
    let origin = match asked.probe {
        Probe::Presigned | Probe::Cors => asked.connection.public_origin(),
        Probe::List | Probe::Get | Probe::Put | Probe::ReadBack | Probe::Delete => asked.connection.origin(),
    };
    let known = iter::successors(Some(error as &(dyn Error + 'static)), |error| below(*error))
        .find_map(|cause| of_cause(cause, origin, asked));
    known.unwrap_or_else(|| {
        let last = iter::successors(error.source(), |error| below(*error)).last();
        let cause = last.map_or_else(|| error.to_string(), ToString::to_string);
        (
            format!("{origin} cannot be reached ({cause})"),
            "check the endpoint and the network to it".to_owned(),
        )
    })
}

/// What an error is about, one step down. An I/O error passes over what it carries: its source is the source of that.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

fn of_cause(cause: &(dyn Error + 'static), origin: &str, asked: &Asked<'_>) -> Option<(String, String)> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error, origin, asked));
    }
    let is_no_http = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
        || matches!(cause.downcast_ref(), Some(FetchError::Malformed(_)));
    if is_no_http {
        return Some((
            format!("{origin} answers with something that is no HTTP"),
            "check the port, and whether the endpoint begins with https://".to_owned(),
        ));
    }
    // The type of it is hyper-util's own.
    if cause.to_string() == "dns error" {
        return Some((
            format!("no address is known for the host of {origin}"),
            format!("check the endpoint's host and DNS{}", asked.addressing()),
        ));
    }
    let error = cause.downcast_ref::<io::Error>().filter(|error| error.get_ref().is_none())?;
    of_io(error.kind(), origin)
}

fn of_io(kind: io::ErrorKind, origin: &str) -> Option<(String, String)> {
    let (cause, advice) = match kind {
        io::ErrorKind::ConnectionRefused => {
            (format!("nothing listens at {origin}"), "check the endpoint, its port, and that the server runs")
        }
        io::ErrorKind::TimedOut => (
            format!("{origin} does not take a connection"),
            "check routes, security groups, proxies and VPC endpoints between here and it",
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            (format!("there is no route to {origin}"), "check routes and egress.source_addresses")
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => (
            format!("{origin} closes the connection without an answer"),
            "check the port, whether it speaks TLS (https://), and firewalls between here and it",
        ),
        _ => return None,
    };
    Some((cause, advice.to_owned()))
}

fn of_tls(error: &rustls::Error, origin: &str, asked: &Asked<'_>) -> (String, String) {
    let (cause, advice) = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => (
            "its certificate is of an issuer that is unknown here".to_owned(),
            "name a file with the certificate of the issuer in egress.ca_file".to_owned(),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "its certificate is for another host".to_owned(),
            format!("check the endpoint's host{}", asked.addressing()),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => (
            "its certificate has expired, or is not valid yet".to_owned(),
            "renew the server's certificate, and check this machine's clock".to_owned(),
        ),
        rustls::Error::InvalidMessage(_) => (
            "it does not speak TLS".to_owned(),
            "check the port, and write http:// if the server is meant to be without TLS".to_owned(),
        ),
        other => (other.to_string(), "check the TLS settings of the server".to_owned()),
    };
    (format!("no TLS with {origin}: {cause}"), advice)
}
