//! The `a=crypto` attribute: keys for SRTP in a session description (RFC 4568).
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<base64 of key and salt>|2^31
//! ```
//!
//! An offer has a line for each suite that its writer would take, in order of preference; the answer has one of them,
//! with a key of its own. Each writer's key is the one that it *sends* with (§5.1.2).
//!
//! # What is passed over
//!
//! A line that we could not keep to is as if it were not there: an unknown suite; a key of the wrong length; several keys
//! or a master key identifier (§6.1), which nobody needs who re-keys by a new offer; a key derivation rate, packets that
//! are not encrypted or not authenticated, FEC (§6.3); parameters that we do not know, unless a dash says that they may
//! be passed over (§6.3.7). A lifetime is read and left to its owner: whose key it is has to change it in time. So is
//! the size of the replay window, which is ours to choose (§6.3.6).

use super::lines::Section;
use crate::rtp::srtp::{MATERIAL_LEN_MAX, MasterKey, Suite};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::fmt::Write;
use zeroize::Zeroizing;

/// Most crypto lines of a media line that are looked at.
pub const CRYPTO_MAX: usize = 16;

/// Some write the padding of keys whose length is no multiple of three, and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A crypto line that can be kept to. Printed, it does not show its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Which of its media line's it is, 0 to 999,999,999; an answer repeats it (RFC 4568 §4.1).
    pub tag: u32,
    /// The suite, and the key that the line's writer sends with.
    pub key: MasterKey,
}

/// Our keys, as they stand in our audio line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurKeys {
    /// In order of preference: several in an offer, one in an answer, none for plain RTP.
    pub lines: Vec<Crypto>,
    /// A peer that knows nothing of them may answer without: they stand beside `RTP/AVP`, as many phones write and
    /// read it, though RFC 4568 knows no such offer.
    pub is_optional: bool,
}

impl OurKeys {
    /// The protocol of an offer that starts from nothing.
    pub(super) fn protocol(&self) -> &'static str {
        match self.lines.is_empty() || self.is_optional {
            true => "RTP/AVP",
            false => "RTP/SAVP",
        }
    }
}

impl Crypto {
    /// Reads what stands behind `a=crypto:`. None if it is none, or if we could not keep to it.
    pub fn parse(value: &str) -> Option<Crypto> {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
        if tag.len() > 9 || !tag.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let key = read_key(Suite::from_name(suite)?, key)?;
        let tag = tag.parse().ok()?;
        words.all(may_be_passed_over).then_some(Crypto { tag, key })
    }

    /// Writes the line, with its end.
    pub fn write(&self, body: &mut String) {
        let key = Zeroizing::new(BASE64.encode(self.key.key_and_salt()));
        // Writing into a String cannot fail.
        let _ = write!(
            body,
            "a=crypto:{} {} inline:{}\r\n",
            self.tag,
            self.key.suite().name(),
            *key
        );
    }

    /// The lines of a media line that can be kept to, in order.
    pub(super) fn read_all(section: Section) -> Vec<Crypto> {
        section
            .attributes()
            .filter(|(name, _)| name.eq_ignore_ascii_case("crypto"))
            .take(CRYPTO_MAX)
            .filter_map(|(_, value)| Crypto::parse(value?))
            .collect()
    }
}

/// Of an offer's lines, the one to answer: that of the suite in use, if it is there still, so that nothing changes;
/// else the first of an allowed suite (RFC 4568 §5.1.2).
pub fn choose<'a>(
    offered: &'a [Crypto],
    allowed: &[Suite],
    in_use: Option<Suite>,
) -> Option<&'a Crypto> {
    let suite = |line: &&Crypto| line.key.suite();
    offered
        .iter()
        .find(|line| Some(suite(line)) == in_use)
        .or_else(|| offered.iter().find(|line| allowed.contains(&suite(line))))
}

/// What an answer has taken: ours, and the line of the answer. They are matched by their suite, since each of ours has
/// another, and not by their tag, which some answer as they like. None if it has taken nothing that we offered.
pub fn taken<'a>(ours: &'a [Crypto], answered: &'a [Crypto]) -> Option<(&'a Crypto, &'a Crypto)> {
    answered.iter().find_map(|theirs| {
        let is_same = |ours: &&Crypto| ours.key.suite() == theirs.key.suite();
        Some((ours.iter().find(is_same)?, theirs))
    })
}

/// `inline:` and key and salt in base64, a lifetime behind a bar if there is one (RFC 4568 §6.1).
fn read_key(suite: Suite, text: &str) -> Option<MasterKey> {
    const METHOD: &str = "inline:";
    let (method, rest) = text.split_at_checked(METHOD.len())?;
    if !method.eq_ignore_ascii_case(METHOD) {
        return None;
    }
    let (key, lifetime) = match rest.split_once('|') {
        Some((key, lifetime)) => (key, Some(lifetime)),
        None => (rest, None),
    };
    // With an identifier there is a second bar, or a colon.
    if !lifetime.is_none_or(is_lifetime) {
        return None;
    }
    let mut material = Zeroizing::new([0; MATERIAL_LEN_MAX + 2]);
    let len = BASE64.decode_slice(key, &mut material[..]).ok()?;
    MasterKey::new(suite, &material[..len])
}

/// A number of packets, or a power of two: `1048576` or `2^20`.
fn is_lifetime(text: &str) -> bool {
    let digits = text.strip_prefix("2^").unwrap_or(text);
    digits.parse::<u64>().is_ok_and(|packets| packets > 0)
}

/// Whether a session parameter asks for nothing.
fn may_be_passed_over(parameter: &str) -> bool {
    let is_window = parameter
        .get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case("WSH="));
    is_window || parameter.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The key of the examples of RFC 4568 §5.1.2 and §9.2.
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn crypto(tag: u32, suite: Suite, byte: u8) -> Crypto {
        let key = MasterKey::new(suite, &vec![byte; suite.material_len()]).expect("a key");
        Crypto { tag, key }
    }

    #[test]
    fn a_line_of_the_rfc_is_read() {
        for text in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"),
            format!("1 aes_cm_128_hmac_sha1_80  INLINE:{KEY}|1048576 WSH=128 -NEW=1"),
        ] {
            let crypto = Crypto::parse(&text).expect("good");
            assert_eq!(crypto.tag, 1);
            assert_eq!(crypto.key.suite(), Suite::AesCm128HmacSha1_80);
            assert_eq!(
                crypto.key.key_and_salt(),
                b"YS___semctl () {\t220;}\n}\nunles"
            );
        }
    }

    #[test]
    fn what_we_could_not_keep_to_is_passed_over() {
        for text in [
            String::new(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &KEY[..36]),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{KEY}{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}!", &KEY[..39]),
            // Lifetimes and identifiers.
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|0"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            // Session parameters.
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 UNENCRYPTED_SRTCP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} FEC_ORDER=FEC_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} NEW=1"),
        ] {
            assert_eq!(Crypto::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_with_padding_or_without() {
        for (tag, suite) in (1..).zip(Suite::ALL) {
            let line = crypto(tag, suite, 0xfb);
            let mut body = String::new();
            line.write(&mut body);
            let value = body
                .strip_prefix("a=crypto:")
                .and_then(|rest| rest.strip_suffix("\r\n"))
                .expect("a line");
            assert_eq!(Crypto::parse(value), Some(line));
            assert_eq!(Crypto::parse(value.trim_end_matches('=')), Some(line));
        }
        assert!(!format!("{:?}", crypto(1, Suite::AeadAes128Gcm, 0xfb)).contains("251"));
    }

    #[test]
    fn the_first_allowed_line_is_chosen_but_a_suite_in_use_stays() {
        let offered = [
            crypto(1, Suite::AeadAes256Gcm, 1),
            crypto(2, Suite::AesCm128HmacSha1_80, 2),
            crypto(3, Suite::AesCm128HmacSha1_32, 3),
        ];
        let tag =
            |allowed: &[Suite], in_use| choose(&offered, allowed, in_use).map(|line| line.tag);
        assert_eq!(tag(&Suite::ALL, None), Some(1));
        assert_eq!(tag(&Suite::ALL[..2], None), Some(2));
        assert_eq!(tag(&Suite::ALL, Some(Suite::AesCm128HmacSha1_32)), Some(3));
        assert_eq!(tag(&Suite::ALL, Some(Suite::AeadAes128Gcm)), Some(1));
        assert_eq!(tag(&[Suite::AeadAes128Gcm], None), None);
    }

    #[test]
    fn an_answer_takes_one_of_ours() {
        let ours = [
            crypto(1, Suite::AeadAes256Gcm, 1),
            crypto(2, Suite::AesCm128HmacSha1_80, 2),
        ];
        let theirs = [crypto(1, Suite::AesCm128HmacSha1_80, 9)];
        assert_eq!(taken(&ours, &theirs), Some((&ours[1], &theirs[0])));
        assert_eq!(taken(&ours, &[]), None);
        assert_eq!(
            taken(&ours, &[crypto(1, Suite::AesCm128HmacSha1_32, 9)]),
            None
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(mut text in Just(format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20 WSH=64").into_bytes()), at in 0..90usize, byte: u8, cut in 0..90usize) {
            let length = text.len();
            text[at % length] = byte;
            text.truncate(length - cut % length);
            let _ = Crypto::parse(&String::from_utf8_lossy(&text));
        }
    }
}
