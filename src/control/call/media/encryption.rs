//! Whether a leg's media is SRTP, and under which keys (RFC 4568).
//!
//! | `media_encryption` | the peer offers | we |
//! |---|---|---|
//! | no | RTP | take it, keys beside it or not |
//! | no | SRTP | refuse it: 488 |
//! | sdes | RTP without keys | refuse it: 488; with `media_encryption_optimistic` take it |
//! | sdes | SRTP, or RTP with keys | take the first suite that we have; without one, or any key, 488 |
//!
//! Our own offers have a key for each suite, the strongest first: `RTP/SAVP`, or with `media_encryption_optimistic` beside
//! `RTP/AVP`. Later ones have the suite in use alone, with the same key: a session that is described anew is no new key. A
//! key of ours lives as long as the leg's port (RFC 4568 §7.1.4); the peer may change its own with each exchange. One that
//! says our own key is refused: both directions would be sealed alike (RFC 3711 §9.1).
//!
//! Keys stand in the SIP message as they are. So where that is not TLS nothing is offered or taken, unless
//! `media_encryption_over_insecure_signalling` says that the way is safe by itself: a call that has to be encrypted
//! fails then, one that may be is plain.
//!
//! T.38 over UDPTL has no encryption: a leg whose media has to be encrypted takes no fax.

use super::NotAcceptable;
use crate::config::settings::Endpoint;
use crate::control::context::Context;
use crate::control::locate::path::Path;
use crate::link::LegCrypto;
use crate::rtp::srtp::{MATERIAL_LEN_MAX, MasterKey, Suite};
use crate::sdp::crypto::{choose, taken};
use crate::sdp::{Audio, Crypto, OurKeys};
use crate::sip::flow::Protocol;
use zeroize::Zeroizing;

/// What we offer and take, the strongest first. The 32-bit tags come last: they are for links that count bytes.
const SUITES: [Suite; 6] = [
    Suite::AeadAes256Gcm,
    Suite::AeadAes128Gcm,
    Suite::AesCm256HmacSha1_80,
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm256HmacSha1_32,
    Suite::AesCm128HmacSha1_32,
];

/// Whether a leg is to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It is not.
    Plain,
    /// If its peer can.
    Wanted,
    /// Or there is no call.
    Demanded,
    /// It is demanded, and the keys would go for all to read: there is no call.
    Impossible,
}

impl Secrecy {
    /// What an endpoint's settings come to on this path.
    pub fn of(endpoint: &Endpoint, path: &Path) -> Secrecy {
        let Some(encryption) = &endpoint.media_encryption else {
            return Secrecy::Plain;
        };
        let is_safe = path.flow.protocol == Protocol::Tls || encryption.over_insecure_signalling;
        match (is_safe, encryption.optimistic) {
            (true, true) => Secrecy::Wanted,
            (true, false) => Secrecy::Demanded,
            (false, true) => Secrecy::Plain,
            (false, false) => Secrecy::Impossible,
        }
    }

    /// True if audio that a peer describes like this may be agreed on.
    pub fn takes(self, audio: &Audio) -> bool {
        match self {
            Secrecy::Plain => !audio.is_secure(),
            Secrecy::Wanted => !audio.is_secure() || has_key(audio),
            Secrecy::Demanded => has_key(audio),
            Secrecy::Impossible => false,
        }
    }

    /// Why this endpoint's description is not taken, for the log: what to change, there or here.
    pub fn refusal(self, endpoint: &Endpoint) -> &'static str {
        match self {
            Secrecy::Plain if endpoint.media_encryption.is_none() => {
                "it offers SRTP alone, and media_encryption is \"no\""
            }
            Secrecy::Plain => "it offers SRTP alone, and has told its keys without TLS",
            Secrecy::Wanted => {
                "it offers SRTP alone, and no key that can be kept to (a suite that is known, no MKI)"
            }
            Secrecy::Demanded => {
                "it offers no SRTP, or no key that can be kept to (a suite that is known, no MKI)"
            }
            Secrecy::Impossible => "its signalling is not on TLS, so that all could read the keys",
        }
    }

    /// True if something may go unencrypted.
    pub fn takes_plain(self) -> bool {
        matches!(self, Secrecy::Plain | Secrecy::Wanted)
    }
}

fn has_key(audio: &Audio) -> bool {
    choose(&audio.crypto, &SUITES, None).is_some()
}

/// A leg's keys.
#[derive(Debug)]
pub struct Keys {
    secrecy: Secrecy,
    /// Ours, one for each suite. Empty for a plain leg.
    ours: Vec<Crypto>,
    /// Those of them that stood in our last offer.
    offered: Vec<Crypto>,
}

impl Keys {
    /// Keys that nobody has seen.
    pub fn new(ctx: &mut Context, secrecy: Secrecy) -> Keys {
        let ours = match secrecy {
            Secrecy::Plain | Secrecy::Impossible => Vec::new(),
            Secrecy::Wanted | Secrecy::Demanded => fresh(ctx),
        };
        Keys {
            secrecy,
            ours,
            offered: Vec::new(),
        }
    }

    /// Whether the leg is to be encrypted.
    pub fn secrecy(&self) -> Secrecy {
        self.secrecy
    }

    /// Changes our keys, since our port changes: to what is in use now with our new key for it.
    pub fn change(&mut self, ctx: &mut Context, in_use: &mut Option<LegCrypto>) {
        *self = Keys::new(ctx, self.secrecy);
        if let Some(in_use) = in_use
            && let Some(ours) = self.of_suite(in_use.send.suite())
        {
            in_use.send = ours.key;
        }
    }

    /// What stands in an offer before anything is agreed on.
    pub fn first_offer(&mut self) -> OurKeys {
        self.offering(self.ours.clone())
    }

    /// What stands in a later one: what is in use.
    pub fn later_offer(&mut self, in_use: Option<LegCrypto>) -> OurKeys {
        let ours = in_use.and_then(|in_use| self.of_suite(in_use.send.suite()));
        self.offering(ours.into_iter().collect())
    }

    fn offering(&mut self, lines: Vec<Crypto>) -> OurKeys {
        self.offered.clone_from(&lines);
        OurKeys {
            lines,
            is_optional: self.secrecy == Secrecy::Wanted,
        }
    }

    /// What the peer's answer comes to: keys, or None for plain RTP.
    ///
    /// # Errors
    /// It is plain where it may not be, takes nothing that we offered, or our own key.
    pub fn accept_answer(&self, answer: &Audio) -> Result<Option<LegCrypto>, NotAcceptable> {
        match taken(&self.offered, &answer.crypto) {
            Some((ours, theirs)) => between(ours, theirs).map(Some),
            None => self.plain(answer),
        }
    }

    /// What stands in our answer to the peer's offer, and what both come to: keys, or None for plain RTP. `in_use` is
    /// what was agreed on before.
    ///
    /// # Errors
    /// It is plain where it may not be, has no suite of ours, or our own key.
    pub fn answer(
        &self,
        offer: &Audio,
        in_use: Option<LegCrypto>,
    ) -> Result<(OurKeys, Option<LegCrypto>), NotAcceptable> {
        let in_use = in_use.map(|in_use| in_use.send.suite());
        let chosen = match self.ours.is_empty() {
            true => None,
            false => choose(&offer.crypto, &SUITES, in_use),
        };
        let chosen = chosen.and_then(|theirs| Some((theirs, self.of_suite(theirs.key.suite())?)));
        let Some((theirs, ours)) = chosen else {
            return Ok((OurKeys::default(), self.plain(offer)?));
        };
        let line = Crypto {
            tag: theirs.tag,
            key: ours.key,
        };
        let agreed = between(&ours, theirs)?;
        let said = OurKeys {
            lines: vec![line],
            is_optional: false,
        };
        Ok((said, Some(agreed)))
    }

    fn plain(&self, audio: &Audio) -> Result<Option<LegCrypto>, NotAcceptable> {
        if self.secrecy.takes_plain() && !audio.is_secure() {
            Ok(None)
        } else {
            Err(NotAcceptable)
        }
    }

    fn of_suite(&self, suite: Suite) -> Option<Crypto> {
        let is_it = |ours: &&Crypto| ours.key.suite() == suite;
        self.ours.iter().find(is_it).copied()
    }
}

/// What two sides with these keys use.
///
/// # Errors
/// The peer's is ours: what one side has sealed would open what the other has.
fn between(ours: &Crypto, theirs: &Crypto) -> Result<LegCrypto, NotAcceptable> {
    if theirs.key == ours.key {
        return Err(NotAcceptable);
    }
    Ok(LegCrypto {
        receive: theirs.key,
        send: ours.key,
    })
}

/// A key for each suite, tagged from 1.
fn fresh(ctx: &mut Context) -> Vec<Crypto> {
    let mut secret = Zeroizing::new([0; SUITES.len() * MATERIAL_LEN_MAX]);
    ctx.surroundings.fill_secret(&mut secret[..]);
    let material = secret.chunks_exact(MATERIAL_LEN_MAX);
    let key =
        |(suite, bytes): (Suite, &[u8])| MasterKey::new(suite, &bytes[..suite.material_len()]);
    let keys = SUITES.into_iter().zip(material).filter_map(key);
    (1..)
        .zip(keys)
        .map(|(tag, key)| Crypto { tag, key })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(suite: Suite, tag: u32) -> Crypto {
        let key = MasterKey::new(suite, &vec![tag as u8; suite.material_len()]).expect("a key");
        Crypto { tag, key }
    }

    #[test]
    fn an_answer_may_take_only_what_the_last_offer_had() {
        let ours: Vec<Crypto> = SUITES
            .into_iter()
            .zip(1..)
            .map(|(suite, tag)| line(suite, tag))
            .collect();
        let mut keys = Keys {
            secrecy: Secrecy::Wanted,
            ours,
            offered: Vec::new(),
        };
        let body = |key: Crypto| {
            let mut body = String::from(
                "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n",
            );
            key.write(&mut body);
            let description = crate::sdp::Description::parse(body.as_bytes()).expect("good");
            description.audio().expect("has audio").clone()
        };
        let theirs = line(Suite::AesCm128HmacSha1_80, 90);
        let answer = body(theirs);
        assert_eq!(keys.accept_answer(&answer), Err(NotAcceptable));
        assert_eq!(keys.first_offer().lines.len(), SUITES.len());
        let in_use = keys.accept_answer(&answer).expect("taken");
        assert_eq!(in_use.map(|keys| keys.receive), Some(theirs.key));
        assert_eq!(keys.later_offer(in_use).lines.len(), 1);
        assert_eq!(keys.accept_answer(&answer), Ok(in_use));
        let our_own = keys.later_offer(in_use).lines[0];
        assert_eq!(keys.accept_answer(&body(our_own)), Err(NotAcceptable));
        let reflected = keys.answer(&body(our_own), in_use);
        assert_eq!(reflected.map(|(_, agreed)| agreed), Err(NotAcceptable));
        let another = body(line(Suite::AeadAes256Gcm, 91));
        assert_eq!(keys.accept_answer(&another), Err(NotAcceptable));
        assert_eq!(keys.later_offer(None).lines, []);
    }
}
