//! One packet under one set of session keys: encryption, and the tag that shows that it is genuine.
//!
//! ```text
//!                   RTP                                    RTCP
//! counter mode      header  ENCRYPTED  tag                 8 bytes  ENCRYPTED  E+index  tag
//! GCM               header  ENCRYPTED  tag                 8 bytes  ENCRYPTED  tag  E+index
//! ```
//!
//! In counter mode the tag is over all that stands before it and, in RTP, the rollover counter (RFC 3711 §3.1, §3.4,
//! §4.2). In GCM it is over the header in the clear, the payload, and in RTCP the word with the index (RFC 7714 §8, §9).

use super::SrtpError;
use super::counter_mode::CounterMode;
use super::derive::{Purpose, SessionKeys};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Length of the word behind an RTCP packet: the E bit and 31 bits of index (RFC 3711 §3.4).
pub(super) const INDEX_LEN: usize = 4;
/// The E bit: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// What of an RTCP packet stays in the clear: its first header and the sender's SSRC (RFC 3711 §3.4).
pub(super) const RTCP_CLEAR_LEN: usize = 8;
/// Length of the tag of GCM.
const GCM_TAG_LEN: usize = 16;

/// What makes each packet's key stream its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonces {
    pub(super) ssrc: u32,
    /// 48 bits in RTP, 31 in RTCP.
    pub(super) index: u64,
}

/// The keys of RTP, or of RTCP, in one direction, ready for use.
pub(super) struct Transform {
    purpose: Purpose,
    tag_len: usize,
    salt: [u8; 14],
    cipher: Cipher,
}

enum Cipher {
    CounterMode {
        cipher: CounterMode,
        mac: Hmac<Sha1>,
    },
    Gcm(Box<LessSafeKey>),
}

impl Transform {
    pub(super) fn new(keys: &SessionKeys) -> Transform {
        use super::Suite::{AeadAes128Gcm, AeadAes256Gcm};
        let gcm = |algorithm| {
            let key = UnboundKey::new(algorithm, keys.encryption());
            let key = key.expect("a suite's key is one of AES");
            Cipher::Gcm(Box::new(LessSafeKey::new(key)))
        };
        Transform {
            purpose: keys.purpose,
            tag_len: match keys.purpose {
                Purpose::Rtp => keys.suite.rtp_tag_len(),
                Purpose::Rtcp => keys.suite.rtcp_tag_len(),
            },
            salt: keys.salt,
            cipher: match keys.suite {
                AeadAes128Gcm => gcm(&AES_128_GCM),
                AeadAes256Gcm => gcm(&AES_256_GCM),
                _ => Cipher::CounterMode {
                    cipher: CounterMode::new(keys.encryption()),
                    mac: Hmac::new_from_slice(&keys.authentication[..])
                        .expect("HMAC takes keys of any length"),
                },
            },
        }
    }

    /// What a packet grows by.
    pub(super) fn overhead(&self) -> usize {
        match self.purpose {
            Purpose::Rtp => self.tag_len,
            Purpose::Rtcp => self.tag_len + INDEX_LEN,
        }
    }

    /// Encrypts from `start` on and appends the rest. `packet` has room for [`Transform::overhead`] behind the `len`
    /// bytes of the plain one. Returns the new length.
    pub(super) fn seal(
        &self,
        packet: &mut [u8],
        start: usize,
        len: usize,
        nonces: Nonces,
    ) -> usize {
        let word = self.word(nonces);
        let sealed_len = len + self.overhead();
        match &self.cipher {
            Cipher::CounterMode { cipher, mac } => {
                cipher.apply(&self.counter(nonces), &mut packet[start..len]);
                let mut end = len;
                if self.purpose == Purpose::Rtcp {
                    packet[len..len + INDEX_LEN].copy_from_slice(&word);
                    end += INDEX_LEN;
                }
                let tag = self.tag(mac, &packet[..end], word);
                packet[end..sealed_len].copy_from_slice(&tag[..self.tag_len]);
            }
            Cipher::Gcm(key) => {
                let (clear, rest) = packet.split_at_mut(start);
                let nonce = Nonce::assume_unique_for_key(self.gcm_nonce(nonces));
                let (body, rest) = rest.split_at_mut(len - start);
                let tag = self.with_associated(clear, word, |associated| {
                    key.seal_in_place_separate_tag(nonce, Aad::from(associated), body)
                });
                // A packet is far from the 64 GiB that GCM can take.
                let tag = tag.expect("a packet is short enough for GCM");
                rest[..GCM_TAG_LEN].copy_from_slice(tag.as_ref());
                if self.purpose == Purpose::Rtcp {
                    rest[GCM_TAG_LEN..GCM_TAG_LEN + INDEX_LEN].copy_from_slice(&word);
                }
            }
        }
        sealed_len
    }

    /// Checks the tag, then decrypts from `start` on. The packet is at least `start` and [`Transform::overhead`] long.
    /// Returns the length of the plain packet.
    ///
    /// # Errors
    /// [`SrtpError::Authentication`]; the packet is then as it was in counter mode, and of no use in GCM.
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        start: usize,
        nonces: Nonces,
    ) -> Result<usize, SrtpError> {
        let word = self.word(nonces);
        let len = packet.len() - self.overhead();
        match &self.cipher {
            Cipher::CounterMode { cipher, mac } => {
                let (signed, tag) = packet.split_at_mut(packet.len() - self.tag_len);
                let expected = self.tag(mac, signed, word);
                if !bool::from(expected[..self.tag_len].ct_eq(tag)) {
                    return Err(SrtpError::Authentication);
                }
                cipher.apply(&self.counter(nonces), &mut signed[start..len]);
            }
            Cipher::Gcm(key) => {
                let (clear, rest) = packet.split_at_mut(start);
                let nonce = Nonce::assume_unique_for_key(self.gcm_nonce(nonces));
                let body = &mut rest[..len - start + GCM_TAG_LEN];
                self.with_associated(clear, word, |associated| {
                    key.open_in_place(nonce, Aad::from(associated), body)
                        .map(|_| ())
                })
                .map_err(|_| SrtpError::Authentication)?;
            }
        }
        Ok(len)
    }

    /// The four bytes that are signed beside the packet: the rollover counter, or the E bit and the index.
    fn word(&self, nonces: Nonces) -> [u8; INDEX_LEN] {
        match self.purpose {
            Purpose::Rtp => ((nonces.index >> 16) as u32).to_be_bytes(),
            Purpose::Rtcp => (ENCRYPTED | nonces.index as u32).to_be_bytes(),
        }
    }

    /// HMAC-SHA1 over what stands before the tag and, in RTP, the rollover counter (RFC 3711 §4.2).
    #[inline]
    fn tag(&self, mac: &Hmac<Sha1>, signed: &[u8], word: [u8; INDEX_LEN]) -> [u8; 20] {
        let mut mac = mac.clone();
        mac.update(signed);
        if self.purpose == Purpose::Rtp {
            mac.update(&word);
        }
        mac.finalize().into_bytes().into()
    }

    /// What GCM signs and does not encrypt: the clear header, in RTCP with the word behind it (RFC 7714 §9.2).
    fn with_associated<T>(
        &self,
        clear: &[u8],
        word: [u8; INDEX_LEN],
        then: impl FnOnce(&[u8]) -> T,
    ) -> T {
        match self.purpose {
            Purpose::Rtp => then(clear),
            Purpose::Rtcp => {
                let mut associated = [0; RTCP_CLEAR_LEN + INDEX_LEN];
                associated[..RTCP_CLEAR_LEN].copy_from_slice(clear);
                associated[RTCP_CLEAR_LEN..].copy_from_slice(&word);
                then(&associated)
            }
        }
    }

    /// The first counter block: salt, SSRC and index, each shifted to its place (RFC 3711 §4.1.1).
    fn counter(&self, nonces: Nonces) -> [u8; 16] {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&self.salt);
        add(&mut counter[4..8], &nonces.ssrc.to_be_bytes());
        add(&mut counter[8..14], &nonces.index.to_be_bytes()[2..]);
        counter
    }

    /// Salt, SSRC and index, each in its place (RFC 7714 §8.1, §9.1).
    fn gcm_nonce(&self, nonces: Nonces) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.salt[..12]);
        add(&mut nonce[2..6], &nonces.ssrc.to_be_bytes());
        add(&mut nonce[6..12], &nonces.index.to_be_bytes()[2..]);
        nonce
    }
}

/// The E bit and the index behind an RTCP packet, which is long enough.
pub(super) fn rtcp_index(packet: &[u8], transform: &Transform) -> (bool, u64) {
    let from_end = match transform.cipher {
        Cipher::CounterMode { .. } => INDEX_LEN + transform.tag_len,
        Cipher::Gcm(_) => INDEX_LEN,
    };
    let at = packet.len() - from_end;
    let word = u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    (word & ENCRYPTED != 0, u64::from(word & !ENCRYPTED))
}

fn add(to: &mut [u8], bytes: &[u8]) {
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Suite;
    use super::super::testing::hex;
    use super::*;

    fn check(keys: &SessionKeys, plain: &str, start: usize, nonces: Nonces, sealed: &str) {
        let transform = Transform::new(keys);
        let (plain, sealed) = (hex(plain), hex(sealed));
        let mut packet = plain.clone();
        packet.resize(plain.len() + transform.overhead(), 0xee);
        let len = transform.seal(&mut packet, start, plain.len(), nonces);
        assert_eq!(len, sealed.len());
        assert_eq!(packet, sealed);
        assert_eq!(transform.open(&mut packet, start, nonces), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }

    const SALT: &str = "517569642070726f2071756f";

    fn given(purpose: Purpose) -> [SessionKeys; 2] {
        let key: Vec<u8> = (0..32).collect();
        [
            (Suite::AeadAes128Gcm, &key[..16]),
            (Suite::AeadAes256Gcm, &key),
        ]
        .map(|(suite, key)| SessionKeys::given(suite, purpose, key, &hex(SALT)))
    }

    /// RFC 7714 §16.1 and §16.2.
    #[test]
    fn the_rtp_packets_of_rfc_7714() {
        let plain = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e6973206469766973\
            6120696e207061727465732074726573";
        let nonces = Nonces {
            ssrc: 0x5501_a0b2,
            index: 0xf17b,
        };
        let [short, long] = given(Purpose::Rtp);
        let sealed = "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a\
            51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce";
        check(&short, plain, 12, nonces, sealed);
        let sealed = "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a02\
            76ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13";
        check(&long, plain, 12, nonces, sealed);
    }

    /// RFC 7714 §17.1 and §17.2.
    #[test]
    fn the_rtcp_packets_of_rfc_7714() {
        let plain = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeef\
            deadbeefdeadbeefdeadbeefdeadbeef";
        let nonces = Nonces {
            ssrc: 0x4d61_7273,
            index: 0x5d4,
        };
        let [short, long] = given(Purpose::Rtcp);
        let sealed = "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda\
            4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4";
        check(&short, plain, 8, nonces, sealed);
        let sealed = "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be\
            8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4";
        check(&long, plain, 8, nonces, sealed);
    }
}
