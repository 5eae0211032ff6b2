//! Hangup causes: Q.850 numbers, and the names that Hangup takes for them.

/// Unallocated number.
pub(super) const UNALLOCATED: u8 = 1;
/// Normal call clearing.
pub(super) const NORMAL_CLEARING: u8 = 16;
/// User busy.
pub(super) const USER_BUSY: u8 = 17;
/// No answer from the user.
pub(super) const NO_ANSWER: u8 = 19;
/// No circuit available.
pub(super) const CONGESTION: u8 = 34;
/// The highest that Q.850 has room for.
const CAUSE_MAX: u8 = 127;

const NAMES: [(&str, u8); 26] = [
    ("UNALLOCATED", 1),
    ("NO_ROUTE_TRANSIT_NET", 2),
    ("NO_ROUTE_DESTINATION", 3),
    ("CHANNEL_UNACCEPTABLE", 6),
    ("NORMAL_CLEARING", 16),
    ("NORMAL", 16),
    ("USER_BUSY", 17),
    ("BUSY", 17),
    ("NO_USER_RESPONSE", 18),
    ("NO_ANSWER", 19),
    ("NOANSWER", 19),
    ("CALL_REJECTED", 21),
    ("NUMBER_CHANGED", 22),
    ("DESTINATION_OUT_OF_ORDER", 27),
    ("INVALID_NUMBER_FORMAT", 28),
    ("FACILITY_REJECTED", 29),
    ("NORMAL_UNSPECIFIED", 31),
    ("NORMAL_CIRCUIT_CONGESTION", 34),
    ("CONGESTION", 34),
    ("NETWORK_OUT_OF_ORDER", 38),
    ("NORMAL_TEMPORARY_FAILURE", 41),
    ("SWITCH_CONGESTION", 42),
    ("BEARERCAPABILITY_NOTAVAIL", 58),
    ("INCOMPATIBLE_DESTINATION", 88),
    ("RECOVERY_ON_TIMER_EXPIRE", 102),
    ("INTERWORKING", 127),
];

/// A cause by number, or by name as Asterisk names them (`USER_BUSY`, case-insensitive, `AST_CAUSE_` before it or not).
pub(super) fn parse(text: &str) -> Option<u8> {
    let text = text.trim();
    if let Ok(number) = text.parse::<u8>() {
        return (number <= CAUSE_MAX).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("AST_CAUSE_").unwrap_or(&name);
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, cause)| *cause)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_and_names() {
        for (text, expected) in [
            ("3", Some(3)),
            (" 17 ", Some(17)),
            ("user_busy", Some(17)),
            ("AST_CAUSE_CALL_REJECTED", Some(21)),
            ("128", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(super::parse(text), expected, "{text}");
        }
    }
}
