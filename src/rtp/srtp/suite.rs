//! Crypto suites and the master keys that go with them.

use subtle::ConstantTimeEq;

/// Longest master key, in bytes.
const KEY_LEN_MAX: usize = 32;
/// Longest master salt, in bytes.
const SALT_LEN_MAX: usize = 14;
/// Longest master key and salt together.
pub const MATERIAL_LEN_MAX: usize = KEY_LEN_MAX + SALT_LEN_MAX;

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits (RFC 4568 §6.2.1). What every SRTP device has.
    AesCm128HmacSha1_80,
    /// The same with 32 bits on RTP, and still 80 on RTCP (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 cut to 80 bits (RFC 6188 §4).
    AesCm256HmacSha1_80,
    /// The same with 32 bits on RTP, and still 80 on RTCP (RFC 6188 §4).
    AesCm256HmacSha1_32,
    /// AES-128 in Galois/counter mode with its whole tag of 128 bits (RFC 7714 §14.2).
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode with its whole tag of 128 bits (RFC 7714 §14.2).
    AeadAes256Gcm,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 6] = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AesCm256HmacSha1_80,
        Suite::AesCm256HmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ];

    /// Its name in a session description (RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.2).
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of that name, in any case.
    pub fn from_name(name: &str) -> Option<Suite> {
        let is_named = |suite: &Suite| suite.name().eq_ignore_ascii_case(name);
        Suite::ALL.into_iter().find(is_named)
    }

    /// Length of its master key, and of its session keys, in bytes.
    pub fn key_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 | Suite::AeadAes128Gcm => 16,
            Suite::AesCm256HmacSha1_80 | Suite::AesCm256HmacSha1_32 | Suite::AeadAes256Gcm => 32,
        }
    }

    /// Length of its master salt in bytes: 112 bits in counter mode (RFC 3711 §5.1), 96 in GCM (RFC 7714 §12).
    pub fn salt_len(self) -> usize {
        match self {
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 12,
            _ => SALT_LEN_MAX,
        }
    }

    /// Length of key and salt together, as a session description carries them.
    pub fn material_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// What an RTP packet grows by, in bytes.
    pub fn rtp_tag_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm256HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 | Suite::AesCm256HmacSha1_32 => 4,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
        }
    }

    /// Length of the tag of an RTCP packet, in bytes; four more have its index.
    pub fn rtcp_tag_len(self) -> usize {
        match self {
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
            _ => 10,
        }
    }
}

/// The secret of one direction: what a session description carries, and all session keys come from.
///
/// Printed, it shows its suite alone; compared, it takes the same time whatever differs.
#[derive(Clone, Copy)]
pub struct MasterKey {
    suite: Suite,
    /// Key, then salt, then zeros.
    material: [u8; MATERIAL_LEN_MAX],
}

impl MasterKey {
    /// A key from the bytes of key and salt. None if they are not [`Suite::material_len`].
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<MasterKey> {
        if key_and_salt.len() != suite.material_len() {
            return None;
        }
        let mut material = [0; MATERIAL_LEN_MAX];
        material[..key_and_salt.len()].copy_from_slice(key_and_salt);
        Some(MasterKey { suite, material })
    }

    /// Its suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, as a session description carries them. Not for any log.
    pub fn key_and_salt(&self) -> &[u8] {
        &self.material[..self.suite.material_len()]
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.material[..self.suite.key_len()]
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.key_and_salt()[self.suite.key_len()..]
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({}, …)", self.suite.name())
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &MasterKey) -> bool {
        self.suite == other.suite && bool::from(self.material.ct_eq(&other.material))
    }
}

impl Eq for MasterKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_any_case() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
            assert_eq!(Suite::from_name(&suite.name().to_lowercase()), Some(suite));
        }
        assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
    }

    #[test]
    fn a_key_has_the_length_of_its_suite_and_is_never_printed() {
        for suite in Suite::ALL {
            let material: Vec<u8> = (100..).take(suite.material_len()).collect();
            let key = MasterKey::new(suite, &material).expect("the right length");
            assert_eq!(key.key_and_salt(), material);
            assert_eq!([key.key(), key.salt()].concat(), material);
            assert!(MasterKey::new(suite, &material[1..]).is_none());
            assert!(!format!("{key:?}").contains("10"), "{key:?}");
            let mut other = material.clone();
            other[suite.material_len() - 1] ^= 1;
            assert_ne!(Some(key), MasterKey::new(suite, &other));
        }
    }
}
