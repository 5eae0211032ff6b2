//! STRFTIME's clock face. The time comes in as seconds since the epoch; nothing here reads a clock or a file.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The time in a zone of the IANA data base (compiled in), UTC if none is named, by a format as of strftime(3);
/// `%c` if it is empty.
///
/// # Errors
/// One sentence: an unknown zone, a time out of range, or a conversion that there is not.
pub(super) fn format(epoch: i64, zone: &str, format: &str) -> Result<String, String> {
    let timestamp = Timestamp::from_second(epoch).map_err(|error| error.to_string())?;
    let zone = match zone {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).map_err(|error| error.to_string())?,
    };
    let format = if format.is_empty() { "%c" } else { format };
    let time = timestamp.to_zoned(zone);
    strtime::format(format, &time).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn formats_in_utc_or_a_named_zone() {
        let epoch = 1_700_000_000;
        let cases = [
            ("", "%Y%m%d-%H%M%S", "20231114-221320"),
            ("America/New_York", "%Y-%m-%d %H:%M", "2023-11-14 17:13"),
            (
                "Europe/Berlin",
                "%a %d. %b %H Uhr %%",
                "Tue 14. Nov 23 Uhr %",
            ),
            ("", "%s", "1700000000"),
        ];
        for (zone, text, expected) in cases {
            assert_eq!(format(epoch, zone, text).as_deref(), Ok(expected));
        }
        assert!(format(epoch, "", "").is_ok_and(|text| text.contains("2023")));
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for (epoch, zone, text) in [
            (0, "Mars/Olympus", "%Y"),
            (i64::MAX, "", "%Y"),
            (0, "", "%!"),
        ] {
            assert!(format(epoch, zone, text).is_err(), "{zone} {text}");
        }
    }
}
