//! What each side of a call is offered and answered: codecs, telephone events and comfort noise (RFC 3264). All rules of
//! it are here.
//!
//! | to a side | codecs |
//! |---|---|
//! | the first offer | what the far side can use and `allow` has, in the far side's order; then the rest of `allow` that we code, if the far side can use any that we code |
//! | a later one | the first part alone, where the side can use any of it already |
//! | an answer | of its offer and `allow` what the far side can use; where that is nothing, what we code, if the far side can use any that we code |
//!
//! So a codec that both have comes first, and the packets of most calls pass as they are. An answer has nothing beside the
//! common codecs, as many peers send with any that they read there. An offer has more, since `allow` says what an endpoint may
//! use and not what it can; a peer that takes what is not common is transcoded. Where both have a common codec and one prefers
//! another, it is offered the common ones alone ([`is_apart`]), and transcoded as long as it does not take that.
//!
//! Telephone events are offered to a side, and taken from it, as its own `dtmf_mode` says, whatever the far side has.
//! Comfort noise passes where both sides have it. An endpoint with `comfort_noise` is offered it, and may send it, in any
//! case.

use crate::codec::Payload;
use crate::config::settings::{DtmfMode, Endpoint};
use crate::sdp::{Direction, Format, answered_formats, common_formats, formats_for, partner};

/// Clock rate of the telephone events that we offer by ourselves.
const EVENTS_RATE: u32 = 8000;
/// Their payload type, by long custom.
const EVENTS_NUMBER: u8 = 101;
/// What they are: the digits, and the flash of a hook (RFC 4733 §3.2).
const EVENTS_FMTP: &str = "0-16";
/// The payload type of comfort noise (RFC 3389 §4).
const NOISE_NUMBER: u8 = 13;

/// Telephone events are offered to the endpoint and taken from it.
pub fn passes_events(endpoint: &Endpoint) -> bool {
    match endpoint.dtmf_mode {
        DtmfMode::Rfc4733 | DtmfMode::Auto | DtmfMode::AutoInfo => true,
        DtmfMode::Inband | DtmfMode::Info => false,
    }
}

/// What its endpoint may use of a peer's formats, in the peer's order. Empty if no codec is left.
pub fn usable(formats: &[Format], endpoint: &Endpoint) -> Vec<Format> {
    common_formats(formats, &endpoint.allow, passes_events(endpoint))
}

/// All that the endpoint may use, for an offer that starts from nothing else.
pub fn own(endpoint: &Endpoint) -> Vec<Format> {
    let mut formats = formats_for(&endpoint.allow, passes_events(endpoint));
    add_noise(&mut formats, &[], endpoint);
    formats
}

/// What an endpoint's peer is offered first, where its far side can use this. Empty if the two cannot be joined.
pub fn first_offer(far: &[Format], endpoint: &Endpoint) -> Vec<Format> {
    let mut formats = common(far, endpoint);
    if has_transcoded(far) {
        for codec in endpoint.allow.iter().filter(|codec| codec.is_transcoded()) {
            let payload = Payload::Codec(*codec);
            let number = codec.static_payload_type().unwrap_or(NOT_STATIC);
            if !carries(&formats, payload) {
                add(&mut formats, far, number, payload, None);
            }
        }
    }
    with_the_rest(formats, far, endpoint)
}

/// What an endpoint's peer is offered later, who can use `agreed`.
pub fn later_offer(far: &[Format], endpoint: &Endpoint, agreed: &[Format]) -> Vec<Format> {
    let formats = common(far, endpoint);
    if shares_codec(&formats, agreed) {
        with_the_rest(formats, far, endpoint)
    } else {
        first_offer(far, endpoint)
    }
}

/// What is answered to a peer of an endpoint: of what it can use of its offer, with the offer's numbers, in its order.
/// `far` is what its far side can use, if there is one. Empty if the two cannot be joined.
pub fn answer(usable: &[Format], far: Option<&[Format]>, endpoint: &Endpoint) -> Vec<Format> {
    let mut codecs: Vec<Format> = match far {
        Some(far) => answered_by(usable, far),
        None => for_us(usable.to_vec()),
    };
    codecs.retain(is_codec);
    if codecs.is_empty() && far.is_some_and(has_transcoded) {
        codecs.extend(usable.iter().filter(is_transcoded).cloned());
    }
    if codecs.is_empty() {
        return codecs;
    }
    let far = far.unwrap_or_default();
    let is_clock = |rate: u32| codecs.iter().any(|format| clock_rate(format) == Some(rate));
    let beside = usable.iter().filter(|format| match format.payload {
        Payload::Codec(_) => false,
        Payload::TelephoneEvent { clock_rate } => {
            is_clock(clock_rate) || carries(far, format.payload)
        }
        Payload::ComfortNoise => endpoint.comfort_noise || carries(far, format.payload),
    });
    let beside: Vec<Format> = beside.cloned().collect();
    codecs.extend(beside);
    codecs
}

/// The same for a peer that talks to nobody else: what we code comes first, since what an application of ours plays and hears
/// is that alone.
pub fn for_us(mut formats: Vec<Format>) -> Vec<Format> {
    formats.sort_by_key(|format| is_codec(format) && !is_transcoded(&format));
    formats
}

/// The formats of `offered` that the far side has answered, with the numbers of `offered` and the parameters of the
/// answer (a far side may narrow them: RFC 3264 §6.1).
fn answered_by(offered: &[Format], answered: &[Format]) -> Vec<Format> {
    let mut kept = answered_formats(offered, answered);
    for format in &mut kept {
        let partner = partner(format, offered, answered);
        format.fmtp = partner.and_then(|far| far.fmtp.clone());
    }
    kept
}

/// The direction that a side of an answered call is told, whose far side is in this one: a far side that neither sends nor
/// receives holds the call, and music is sent in its place.
pub fn told_direction(far: Direction) -> Direction {
    match far {
        Direction::Inactive => Direction::SendOnly,
        other => other,
    }
}

/// True if an endpoint may use a codec that we code.
pub fn may_be_coded(endpoint: &Endpoint) -> bool {
    endpoint.allow.iter().any(|codec| codec.is_transcoded())
}

/// True if two sides that are in these directions know of each other's.
pub fn directions_agree(a: Direction, b: Direction) -> bool {
    let is_played_music = |held: Direction, holder: Direction| {
        holder == Direction::Inactive && held == told_direction(holder).reversed()
    };
    a == b.reversed() || is_played_music(a, b) || is_played_music(b, a)
}

/// True if a codec that the far side can use may be used by the endpoint.
pub fn may_share(far: &[Format], endpoint: &Endpoint) -> bool {
    !common(far, endpoint).is_empty()
}

/// True if what one side sends to us can go straight to a far side that hears `theirs`: a codec is common, whatever they
/// have both has the same number, and telephone events and comfort noise are.
pub fn is_spoken(ours: &[Format], theirs: &[Format]) -> bool {
    let partner = |format: &Format| theirs.iter().find(|other| other.payload == format.payload);
    let is_same = |format: &Format| match partner(format) {
        Some(partner) => partner.payload_type == format.payload_type,
        None => is_codec(format),
    };
    shares_codec(ours, theirs) && ours.iter().all(is_same)
}

/// True if audio can go from one side to the other: a codec is common, or each has one that we code.
pub fn can_join(a: &[Format], b: &[Format]) -> bool {
    shares_codec(a, b) || has_transcoded(a) && has_transcoded(b)
}

/// True if a peer that can use `own` ought to be offered the codecs that its far side can use as well: it prefers another
/// one though they have one in common, or may send what we cannot transcode.
pub fn is_apart(own: &[Format], far: &[Format]) -> bool {
    if !shares_codec(own, far) {
        return !can_join(own, far);
    }
    let mut codecs = own.iter().filter(|format| is_codec(format));
    let is_heard = |format: &Format| carries(far, format.payload);
    let first = codecs.clone().next();
    let is_coded = has_transcoded(far);
    let is_lost = |format| !(is_heard(format) || is_coded && is_transcoded(&format));
    !first.is_some_and(is_heard) || codecs.any(is_lost)
}

/// True if both can use a codec.
pub fn shares_codec(a: &[Format], b: &[Format]) -> bool {
    a.iter()
        .any(|format| is_codec(format) && carries(b, format.payload))
}

/// The codecs that the far side can use and the endpoint may use, with the far side's numbers and in its order.
fn common(far: &[Format], endpoint: &Endpoint) -> Vec<Format> {
    let mut formats = common_formats(far, &endpoint.allow, false);
    formats.retain(is_codec);
    formats
}

/// An offer's codecs, with telephone events and comfort noise.
fn with_the_rest(mut formats: Vec<Format>, far: &[Format], endpoint: &Endpoint) -> Vec<Format> {
    if formats.is_empty() {
        return formats;
    }
    if passes_events(endpoint) {
        let events = |format: &&Format| matches!(format.payload, Payload::TelephoneEvent { .. });
        formats.extend(far.iter().filter(events).cloned());
        let payload = Payload::TelephoneEvent {
            clock_rate: EVENTS_RATE,
        };
        let is_needed = formats
            .iter()
            .any(|format| clock_rate(format) == Some(EVENTS_RATE));
        if is_needed && !carries(&formats, payload) {
            add(&mut formats, far, EVENTS_NUMBER, payload, Some(EVENTS_FMTP));
        }
    }
    add_noise(&mut formats, far, endpoint);
    formats
}

fn add_noise(formats: &mut Vec<Format>, far: &[Format], endpoint: &Endpoint) {
    let theirs = far
        .iter()
        .find(|format| format.payload == Payload::ComfortNoise);
    let is_clock = formats
        .iter()
        .any(|format| clock_rate(format) == Some(EVENTS_RATE));
    match theirs {
        Some(theirs) => formats.push(theirs.clone()),
        None if endpoint.comfort_noise && is_clock => {
            add(formats, far, NOISE_NUMBER, Payload::ComfortNoise, None);
        }
        None => {}
    }
}

/// No payload type of its own.
const NOT_STATIC: u8 = u8::MAX;

/// Adds a format that the far side does not have: by this number, or a free one if that means something else to either side.
fn add(
    formats: &mut Vec<Format>,
    far: &[Format],
    number: u8,
    payload: Payload,
    fmtp: Option<&str>,
) {
    let is_free = |number: u8| {
        let has_it = |format: &Format| format.payload_type == number;
        number < 128 && !formats.iter().any(has_it) && !far.iter().any(has_it)
    };
    let mut numbers = std::iter::once(number).chain(96..=127);
    if let Some(payload_type) = numbers.find(|number| is_free(*number)) {
        formats.push(Format {
            payload_type,
            payload,
            fmtp: fmtp.map(str::to_owned),
        });
    }
}

fn carries(formats: &[Format], payload: Payload) -> bool {
    formats.iter().any(|format| format.payload == payload)
}

fn is_codec(format: &Format) -> bool {
    matches!(format.payload, Payload::Codec(_))
}

fn is_transcoded(format: &&Format) -> bool {
    matches!(format.payload, Payload::Codec(codec) if codec.is_transcoded())
}

/// True if we code one of these.
pub fn has_transcoded(formats: &[Format]) -> bool {
    formats.iter().any(|format| is_transcoded(&format))
}

fn clock_rate(format: &Format) -> Option<u32> {
    match format.payload {
        Payload::Codec(codec) => Some(codec.clock_rate()),
        Payload::TelephoneEvent { .. } | Payload::ComfortNoise => None,
    }
}
