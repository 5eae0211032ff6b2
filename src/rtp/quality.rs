//! What a listener would think of a call: the E-model of ITU-T G.107 (06/2015), and of G.107.1 (06/2019) for wideband.
//!
//! All that a gateway cannot know (loudness, noise, echo at the telephones) has the Recommendations' default values. What
//! it knows goes in: the codec, packets lost and how they cluster, and the delay.
//!
//! | codec | by | its impairment Ie, robustness to loss Bpl |
//! |---|---|---|
//! | G.711 | G.107 | 0, 25.1 (G.113 appendix I: with the concealment of G.711 appendix I) |
//! | G.729A | G.107 | 11, 19 (G.113 appendix I) |
//! | G.722 at 64 kbit/s | G.107.1 | 13 (G.113 appendix IV), 25.1: G.113 has none, and its concealment works as G.711's does |
//!
//! A score is on the scale of its own bandwidth, as ITU-T P.800.1 has MOS-CQEN and MOS-CQEW: an undisturbed call is 4.4
//! in G.711 and 4.3 in G.722, though the latter sounds better beside the other. What brings either down is seen in both.

/// G.107 clause 7.2, 7.3 with default values: the signal-to-noise ratio, and what impairs speech all the time.
const RO: f64 = 94.768_822;
const IS: f64 = 1.413_568;
/// The echo that a talker tolerates: -1.5 (No - RLR).
const ROE: f64 = 94.768_822;
/// G.107.1 clause 7.2 and 7.4, the same for wideband; nothing impairs speech all the time.
const RO_WIDE: f64 = 129.0;
const ROE_WIDE: f64 = 106.208_3;
/// Talker echo loudness rating and weighted echo path loss, in dB.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
/// G.107.1: the wideband scale by the narrowband one.
const WIDE_SCALE: f64 = 1.29;

/// How speech is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// PCMU or PCMA.
    G711,
    /// At 64 kbit/s.
    G722,
    /// G.729 or G.729A.
    G729,
}

/// What one direction of a call is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// How speech is coded on the way.
    pub coding: Coding,
    /// Lost or too late, of those expected: 0 to 1.
    pub loss: f64,
    /// As [`burst_ratio`] says; 1 where nothing is known.
    pub burst_ratio: f64,
    /// From mouth to ear, in milliseconds.
    pub delay_ms: f64,
}

/// How much losses cluster (G.107 clause 3.3): the mean number of packets lost in a row, by what it would be if each was
/// lost by chance. 1 where nothing was lost.
pub fn burst_ratio(expected: u32, lost: u32, gaps: u32) -> f64 {
    if lost == 0 || gaps == 0 || lost >= expected {
        return 1.0;
    }
    let share = f64::from(lost) / f64::from(expected);
    (f64::from(lost) / f64::from(gaps) * (1.0 - share)).max(1.0)
}

/// From mouth to ear in milliseconds: half the round trip, what lies in the jitter buffer, and a packet's length, which
/// has to be spoken before it is sent. Of a way that is not known only the rest counts.
pub fn delay_ms(round_trip_ns: Option<u64>, playout_ns: u64, packet_ns: u64) -> f64 {
    (round_trip_ns.unwrap_or(0) as f64 / 2.0 + playout_ns as f64 + packet_ns as f64) / 1e6
}

/// The transmission rating R: 93.2 for an undisturbed call in G.711; up to 129 on the wideband scale; below 0 for what
/// nobody can talk over.
pub fn rating(conditions: &Conditions) -> f64 {
    let delay = within(conditions.delay_ms, 10_000.0);
    let equipment = |ie: f64, bpl: f64| {
        // Clause 7.5, equation 7-29; the loss in per cent.
        let loss = within(conditions.loss, 1.0) * 100.0;
        ie + (95.0 - ie) * loss / (loss / conditions.burst_ratio.max(1.0) + bpl)
    };
    let narrow = |ie, bpl| RO - IS - delay_impairment(delay) - equipment(ie, bpl);
    match conditions.coding {
        Coding::G711 => narrow(0.0, 25.1),
        Coding::G729 => narrow(11.0, 19.0),
        Coding::G722 => RO_WIDE - delay_impairment_wide(delay) - equipment(13.0, 25.1),
    }
}

/// From 0 to this; what is no number is 0.
fn within(value: f64, most: f64) -> f64 {
    if value.is_nan() {
        return 0.0;
    }
    value.clamp(0.0, most)
}

/// The mean opinion score of conversation quality, 1 to 4.5 (G.107 annex B, G.107.1 annex A).
pub fn mos(conditions: &Conditions) -> f32 {
    let rating = rating(conditions);
    let rating = match conditions.coding {
        Coding::G711 | Coding::G729 => rating,
        Coding::G722 => rating / WIDE_SCALE,
    };
    mos_of(rating) as f32
}

/// Annex B, equation B-4; at its foot the curve falls below 1, which no score is.
fn mos_of(rating: f64) -> f64 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// Clause 7.4: talker echo, listener echo, and delay as such.
fn delay_impairment(t: f64) -> f64 {
    let terv = echo_loudness(t);
    talker_echo(t, ROE, 80.0 + 2.5 * (terv - 14.0)) + listener_echo(t, RO) + pure_delay(t)
}

/// G.107.1 clause 7.4.
fn delay_impairment_wide(t: f64) -> f64 {
    let k = if t < 100.0 { 0.08 * t + 10.0 } else { 18.0 };
    let terv = echo_loudness(t) + k;
    talker_echo(t, ROE_WIDE, 80.0 + 3.0 * (terv - 14.0))
        + listener_echo(t, RO_WIDE)
        + WIDE_SCALE * pure_delay(t)
}

/// TERV, equation 7-22; STMR is between 9 and 20 dB.
fn echo_loudness(t: f64) -> f64 {
    TELR - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10() + 6.0 * (-0.3 * t * t).exp()
}

/// Idte, equations 7-19 to 7-21.
fn talker_echo(t: f64, roe: f64, re: f64) -> f64 {
    if t < 1.0 {
        return 0.0;
    }
    let half = (roe - re) / 2.0;
    (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-t).exp())
}

/// Idle, equations 7-25 and 7-26, for a round trip of twice the delay.
fn listener_echo(t: f64, ro: f64) -> f64 {
    let rle = 10.5 * (WEPL + 7.0) * (2.0 * t + 1.0).powf(-0.25);
    let half = (ro - rle) / 2.0;
    half + (half * half + 169.0).sqrt()
}

/// Idd, equations 7-27 and 7-28: nothing up to 100 ms.
fn pure_delay(t: f64) -> f64 {
    if t <= 100.0 {
        return 0.0;
    }
    let x = (t / 100.0).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(coding: Coding, loss: f64, burst_ratio: f64, delay_ms: f64) -> Conditions {
        Conditions {
            coding,
            loss,
            burst_ratio,
            delay_ms,
        }
    }

    fn near(value: f64, expected: f64, within: f64) {
        assert!((value - expected).abs() <= within, "{value} {expected}");
    }

    fn db_sum(parts: &[f64]) -> f64 {
        let sum: f64 = parts.iter().map(|part| 10f64.powf(part / 10.0)).sum();
        10.0 * sum.log10()
    }

    /// Clauses 7.2 and 7.3 with the values of table 3, which the constants above are.
    #[test]
    fn the_constants_are_those_of_the_default_values() {
        let (slr, rlr, ps, ds, pr, dr, stmr, qdu) = (8.0, 2.0, 35.0, 3.0, 35.0, 3.0, 15.0, 1.0);
        let olr: f64 = slr + rlr;
        let nos = ps - slr - ds - 100.0 + 0.004 * (ps - olr - ds - 14.0f64).powi(2);
        let pre = pr + db_sum(&[0.0, 10.0 - (stmr + dr)]);
        let nor = rlr - 121.0 + pre + 0.008 * (pre - 35.0f64).powi(2);
        let no = db_sum(&[-70.0, nos, nor, -64.0 + rlr]);
        let ro = 15.0 - 1.5 * (slr + no);
        near(RO, ro, 1e-6);
        near(ROE, -1.5 * (no - rlr), 1e-6);

        let x = (olr + 0.2 * (64.0 + no - rlr)) / 8.0;
        let olr_impairment = 20.0 * ((1.0 + x.powi(8)).powf(1.0 / 8.0) - x);
        let stmro: f64 = -db_sum(&[-stmr, -TELR]);
        let term = |x: f64, y: f64, z: f64| (1.0 + ((stmro + x) / y).powf(z)).powf(1.0 / z);
        let sidetone = 12.0 * (1.0 + ((stmro - 13.0) / 6.0).powi(8)).powf(1.0 / 8.0)
            - 28.0 * term(1.0, 19.4, 35.0)
            - 13.0 * term(-3.0, 33.0, 13.0)
            + 29.0;
        let q: f64 = 37.0 - 15.0 * f64::log10(qdu);
        let g = 1.07 + 0.258 * q + 0.0602 * q * q;
        let y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
        let z = 46.0 / 30.0 - g / 40.0;
        let quantising = 15.0 * (1.0 + 10f64.powf(y) + 10f64.powf(z)).log10();
        near(IS, olr_impairment + sidetone + quantising, 1e-6);
    }

    #[test]
    fn an_undisturbed_call_is_rated_as_the_recommendation_says() {
        // Clause 7.7: 93.2.
        let best = conditions(Coding::G711, 0.0, 1.0, 0.0);
        near(rating(&best), 93.2, 0.01);
        near(mos(&best).into(), 4.41, 0.005);
        let best = conditions(Coding::G722, 0.0, 1.0, 0.0);
        near(rating(&best), 129.0 - 13.0, 0.2);
        near(mos(&best).into(), 4.33, 0.005);
    }

    /// Equations 7-19 to 7-29 by hand.
    #[test]
    fn delay_and_loss_take_what_the_equations_say() {
        for (coding, loss, burst, delay, expected) in [
            (Coding::G711, 0.0, 1.0, 100.0, 90.664),
            (Coding::G711, 0.0, 1.0, 150.0, 89.539),
            (Coding::G711, 0.0, 1.0, 250.0, 79.177),
            (Coding::G711, 0.01, 1.0, 0.0, 93.206 - 95.0 / 26.1),
            (Coding::G711, 0.05, 1.0, 0.0, 77.425),
            (Coding::G711, 0.05, 2.0, 0.0, 93.206 - 17.210),
            (Coding::G729, 0.02, 1.0, 0.0, 93.206 - 19.0),
            (Coding::G722, 0.0, 1.0, 50.0, 128.255 - 13.0),
            (Coding::G722, 0.0, 1.0, 150.0, 127.421 - 13.0),
        ] {
            let rated = rating(&conditions(coding, loss, burst, delay));
            near(rated, expected, 0.002);
        }
    }

    /// G.113 (2001) table I.2: G.711 with its concealment, by random loss in per cent.
    #[test]
    fn loss_impairs_g711_as_was_measured() {
        let clean = rating(&conditions(Coding::G711, 0.0, 1.0, 0.0));
        for (loss, measured) in [
            (1.0, 5.0),
            (2.0, 7.0),
            (3.0, 10.0),
            (5.0, 15.0),
            (7.0, 20.0),
            (10.0, 25.0),
        ] {
            let lossy = rating(&conditions(Coding::G711, loss / 100.0, 1.0, 0.0));
            near(clean - lossy, measured, 2.2);
        }
    }

    /// G.107 table B.1.
    #[test]
    fn ratings_are_scores_as_annex_b_has_them() {
        for (rating, score) in [
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
        ] {
            near(mos_of(rating), score, 0.0061);
        }
        for (rating, score) in [
            (-20.0, 1.0),
            (0.0, 1.0),
            (3.0, 1.0),
            (100.0, 4.5),
            (129.0, 4.5),
        ] {
            near(mos_of(rating), score, 1e-9);
        }
    }

    #[test]
    fn worse_is_never_better() {
        for coding in [Coding::G711, Coding::G722, Coding::G729] {
            let mut last = f32::MAX;
            for step in 0..100 {
                let delay = f64::from(step) * 10.0;
                let now = mos(&conditions(coding, f64::from(step) / 100.0, 1.0, delay));
                assert!(
                    (1.0..=4.5).contains(&now) && now <= last,
                    "{coding:?} {step}"
                );
                last = now;
            }
        }
        let odd = conditions(Coding::G711, f64::NAN, f64::NAN, f64::INFINITY);
        near(
            rating(&odd),
            rating(&conditions(Coding::G711, 0.0, 1.0, 10_000.0)),
            0.0,
        );
    }

    #[test]
    fn bursts_are_told_from_chance() {
        near(burst_ratio(1000, 0, 0), 1.0, 0.0);
        // 100 of 1000 by chance: 90 gaps of 1.11.
        near(burst_ratio(1000, 100, 90), 1.0, 1e-9);
        // In rows of ten.
        near(burst_ratio(1000, 100, 10), 9.0, 1e-9);
        near(burst_ratio(1000, 100, 100), 1.0, 0.0);
        near(burst_ratio(10, 20, 1), 1.0, 0.0);
    }

    #[test]
    fn delay_is_half_the_way_there_and_back_and_what_waits() {
        near(
            delay_ms(Some(100_000_000), 30_000_000, 20_000_000),
            100.0,
            1e-9,
        );
        near(delay_ms(None, 30_000_000, 20_000_000), 50.0, 1e-9);
    }
}
