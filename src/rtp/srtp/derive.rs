//! Session keys from a master key (RFC 3711 §4.3).
//!
//! The key derivation rate is 0: each key is derived once, at index 0. No other rate is agreed on (RFC 4568 §6.3.1).

use super::counter_mode::CounterMode;
use super::suite::{MasterKey, Suite};
use zeroize::Zeroizing;

/// Length of the authentication key of HMAC-SHA1, in bytes (RFC 3711 §5.2).
const AUTHENTICATION_KEY_LEN: usize = 20;

/// What keys are for: the labels of encryption, authentication and salt (RFC 3711 §4.3.1 and §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Labels 0, 1 and 2.
    Rtp,
    /// Labels 3, 4 and 5.
    Rtcp,
}

/// The keys of RTP, or of RTCP, in one direction.
pub(super) struct SessionKeys {
    pub(super) suite: Suite,
    pub(super) purpose: Purpose,
    pub(super) authentication: Zeroizing<[u8; AUTHENTICATION_KEY_LEN]>,
    /// With zeros behind it where it is shorter.
    pub(super) salt: [u8; 14],
    encryption: Zeroizing<[u8; 32]>,
}

impl SessionKeys {
    /// Derives the three.
    pub(super) fn derive(master: &MasterKey, purpose: Purpose) -> SessionKeys {
        let suite = master.suite();
        let first_label = match purpose {
            Purpose::Rtp => 0,
            Purpose::Rtcp => 3,
        };
        let mut keys = SessionKeys {
            suite,
            purpose,
            authentication: Zeroizing::default(),
            salt: [0; 14],
            encryption: Zeroizing::default(),
        };
        let cipher = CounterMode::new(master.key());
        let fill = |label: u8, out: &mut [u8]| {
            cipher.apply(&first_counter(master.salt(), first_label + label), out);
        };
        fill(0, &mut keys.encryption[..suite.key_len()]);
        fill(1, &mut keys.authentication[..]);
        fill(2, &mut keys.salt[..suite.salt_len()]);
        keys
    }

    /// Keys that are given and not derived, as the examples of RFC 7714 have them.
    #[cfg(test)]
    pub(super) fn given(
        suite: Suite,
        purpose: Purpose,
        encryption: &[u8],
        salt: &[u8],
    ) -> SessionKeys {
        let mut keys = SessionKeys {
            suite,
            purpose,
            authentication: Zeroizing::default(),
            salt: [0; 14],
            encryption: Zeroizing::default(),
        };
        keys.encryption[..encryption.len()].copy_from_slice(encryption);
        keys.salt[..salt.len()].copy_from_slice(salt);
        keys
    }

    pub(super) fn encryption(&self) -> &[u8] {
        &self.encryption[..self.suite.key_len()]
    }
}

/// The first counter block of the key stream that is a session key (RFC 3711 §4.3.3).
fn first_counter(salt: &[u8], label: u8) -> [u8; 16] {
    // A salt of 96 bits stands at the left, as if zeros came behind it (RFC 7714 §11). `label || index` is 56 bits at
    // the right end of 112, and the index is 0.
    let mut counter = [0; 16];
    counter[..salt.len()].copy_from_slice(salt);
    counter[7] ^= label;
    counter
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    /// RFC 3711 appendix B.3, RFC 6188 §7.2.
    #[test]
    fn the_session_keys_of_the_rfcs() {
        for (suite, key, salt, encryption, session_salt, authentication) in [
            (
                Suite::AesCm128HmacSha1_80,
                "e1f97a0d3e018be0d64fa32c06de4139",
                "0ec675ad498afeebb6960b3aabe6",
                "c61e7a93744f39ee10734afe3ff7a087",
                "30cbbc08863d8c85d49db34a9ae1",
                "cebe321f6ff7716b6fd4ab49af256a156d38baa4",
            ),
            (
                Suite::AesCm256HmacSha1_80,
                "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
                "3b04803de51ee7c96423ab5b78d2",
                "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
                "fa31791685ca444a9e07c6c64e93",
                "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
            ),
        ] {
            let master = MasterKey::new(suite, &hex(&[key, salt].concat())).expect("a key");
            let keys = SessionKeys::derive(&master, Purpose::Rtp);
            assert_eq!(keys.encryption(), hex(encryption));
            assert_eq!(keys.salt[..], hex(session_salt));
            assert_eq!(keys.authentication[..], hex(authentication));
            let others = SessionKeys::derive(&master, Purpose::Rtcp);
            assert_ne!(others.encryption(), keys.encryption());
        }
    }
}
