//! Digest authentication (RFC 3261 §22, RFC 8760): challenges written, credentials read and checked, both ways.
//!
//! As the asked side: [`Authenticator`] writes challenges with nonces that tell of themselves, and checks the
//! [`Credentials`] of a request. As the asking side: [`challenges`] reads what a 401 or 407 asks for, and
//! [`Challenge::answer`] makes the header that answers it.

mod challenge;
mod credentials;
mod digest;
mod params;
mod replay;
mod server;

#[cfg(test)]
mod tests;

pub use challenge::{Answer, Challenge, challenges};
pub use credentials::Credentials;
pub use digest::{Algorithm, Password, Qop};
pub use server::{AuthSettings, Authenticator, Verdict};

/// Who asks: the one that is called, or a proxy on the way (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// 401, WWW-Authenticate, Authorization.
    User,
    /// 407, Proxy-Authenticate, Proxy-Authorization.
    Proxy,
}

impl Asker {
    /// The one whose challenge a response of this status carries; None for other statuses.
    pub fn of_status(status: u16) -> Option<Asker> {
        match status {
            401 => Some(Asker::User),
            407 => Some(Asker::Proxy),
            _ => None,
        }
    }

    /// The status of the response that challenges.
    pub fn status(self) -> u16 {
        match self {
            Asker::User => 401,
            Asker::Proxy => 407,
        }
    }

    /// The header of the challenge.
    pub fn challenge_header(self) -> &'static str {
        match self {
            Asker::User => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header of the answer.
    pub fn credentials_header(self) -> &'static str {
        match self {
            Asker::User => "Authorization",
            Asker::Proxy => "Proxy-Authorization",
        }
    }
}
