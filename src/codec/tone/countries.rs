//! The tones of the countries (ITU-T E.180 Supplement 2 and what national networks publish), in the notation of Asterisk's
//! indications.conf and, where it has the country, as it has them.

use super::Tone;

/// What a tone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// The network waits for digits.
    Dial,
    /// The called telephone rings.
    Ring,
    /// The called party is engaged.
    Busy,
    /// The network has no way to the called party.
    Congestion,
    /// The special information tone: something is wrong with the number.
    Info,
}

impl Indication {
    /// Every one.
    pub const ALL: [Indication; 5] = [
        Indication::Dial,
        Indication::Ring,
        Indication::Busy,
        Indication::Congestion,
        Indication::Info,
    ];

    /// The indication with that name in indications.conf (`dial`, `ring`, `busy`, `congestion`, `info`).
    pub fn from_name(name: &str) -> Option<Indication> {
        let named = match name.to_ascii_lowercase().as_str() {
            "dial" => Indication::Dial,
            "ring" => Indication::Ring,
            "busy" => Indication::Busy,
            "congestion" => Indication::Congestion,
            "info" => Indication::Info,
            _ => return None,
        };
        Some(named)
    }
}

/// A country's tones.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// Two letters, as indications.conf has them.
    pub code: &'static str,
    dial: &'static str,
    ring: &'static str,
    busy: &'static str,
    congestion: &'static str,
    info: &'static str,
}

impl Country {
    /// The tone, of which all frequencies together have that level.
    pub fn tone(&self, indication: Indication, level_dbm0: f32) -> Tone {
        let text = match indication {
            Indication::Dial => self.dial,
            Indication::Ring => self.ring,
            Indication::Busy => self.busy,
            Indication::Congestion => self.congestion,
            Indication::Info => self.info,
        };
        Tone::parse(text, level_dbm0).expect("a test reads every tone of the table")
    }
}

/// The country with that code, in either case; `gb` is `uk`.
pub fn country(code: &str) -> Option<&'static Country> {
    let code = if code.eq_ignore_ascii_case("gb") {
        "uk"
    } else {
        code
    };
    COUNTRIES
        .iter()
        .find(|country| country.code.eq_ignore_ascii_case(code))
}

/// Three times the special information tone.
const INFORMATION_THRICE: &str = "!950/330,!1400/330,!1800/330,!0/1000,!950/330,!1400/330,!1800/330,!0/1000,\
     !950/330,!1400/330,!1800/330,!0/1000,0";

/// Every country, by code.
pub const COUNTRIES: [Country; 41] = [
    Country {
        code: "at",
        dial: "420",
        ring: "420/1000,0/5000",
        busy: "420/400,0/400",
        congestion: "420/200,0/200",
        info: "950/330,1450/330,1850/330,0/1000",
    },
    Country {
        code: "au",
        dial: "413+438",
        ring: "413+438/400,0/200,413+438/400,0/2000",
        busy: "425/375,0/375",
        congestion: "425/375,0/375,420/375,0/375",
        info: "425/2500,0/500",
    },
    Country {
        code: "be",
        dial: "425",
        ring: "425/1000,0/3000",
        busy: "425/500,0/500",
        congestion: "425/167,0/167",
        info: "900/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "bg",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/250,0/250",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "br",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/250,0/250",
        congestion: "425/250,0/250,425/750,0/250",
        info: "950/330,1400/330,1800/330",
    },
    Country {
        code: "ch",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/200,0/200",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "cl",
        dial: "400",
        ring: "400/1000,0/3000",
        busy: "400/500,0/500",
        congestion: "400/200,0/200",
        info: "950/333,1400/333,1800/333,0/1000",
    },
    Country {
        code: "cn",
        dial: "450",
        ring: "450/1000,0/4000",
        busy: "450/350,0/350",
        congestion: "450/700,0/700",
        info: "450/100,0/100,450/100,0/100,450/100,0/100,450/400,0/400",
    },
    Country {
        code: "cz",
        dial: "425/330,0/330,425/660,0/660",
        ring: "425/1000,0/4000",
        busy: "425/330,0/330",
        congestion: "425/165,0/165",
        info: "950/330,0/30,1400/330,0/30,1800/330,0/1000",
    },
    Country {
        code: "de",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/480,0/480",
        congestion: "425/240,0/240",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "dk",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/200,0/200",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "ee",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/300,0/300",
        congestion: "425/200,0/200",
        info: "950/650,0/325,950/325,0/30,1400/1300,0/2600",
    },
    Country {
        code: "es",
        dial: "425",
        ring: "425/1500,0/3000",
        busy: "425/200,0/200",
        congestion: "425/200,0/200,425/200,0/200,425/200,0/600",
        info: "950/330,0/1000",
    },
    Country {
        code: "fi",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/300,0/300",
        congestion: "425/200,0/200",
        info: "950/650,0/325,950/325,0/30,1400/1300,0/2600",
    },
    Country {
        code: "fr",
        dial: "440",
        ring: "440/1500,0/3500",
        busy: "440/500,0/500",
        congestion: "440/250,0/250",
        info: "!950/330,!1400/330,!1800/330",
    },
    Country {
        code: "gr",
        dial: "425/200,0/300,425/700,0/800",
        ring: "425/1000,0/4000",
        busy: "425/300,0/300",
        congestion: "425/200,0/200",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "hu",
        dial: "425",
        ring: "425/1250,0/3750",
        busy: "425/300,0/300",
        congestion: "425/300,0/300",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "id",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/250,0/250",
        info: "!950/330,!1400/330,!1800/330,0/1000",
    },
    Country {
        code: "ie",
        dial: "425",
        ring: "400+450/400,0/200,400+450/400,0/2000",
        busy: "425/500,0/500",
        congestion: "425/250,0/250",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "il",
        dial: "414",
        ring: "414/1000,0/3000",
        busy: "414/500,0/500",
        congestion: "414/250,0/250",
        info: "1000/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "in",
        dial: "400*25",
        ring: "400*25/400,0/200,400*25/400,0/2000",
        busy: "400/750,0/750",
        congestion: "400/250,0/250",
        info: "!950/330,!1400/330,!1800/330,0/1000",
    },
    Country {
        code: "it",
        dial: "425/200,0/200,425/600,0/1000",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/200,0/200",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "jp",
        dial: "400",
        ring: "400+15/1000,0/2000",
        busy: "400/500,0/500",
        congestion: "400/500,0/500",
        info: "!950/330,!1400/330,!1800/330,0",
    },
    Country {
        code: "lt",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/350,0/350",
        congestion: "425/200,0/200",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "mx",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/250,0/250",
        congestion: "425/250,0/250",
        info: "950/330,0/30,1400/330,0/30,1800/330,0/1000",
    },
    Country {
        code: "my",
        dial: "425",
        ring: "425/400,0/200,425/400,0/2000",
        busy: "425/500,0/500",
        congestion: "425/500,0/500",
        info: "!950/330,!1400/330,!1800/330,0",
    },
    Country {
        code: "nl",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/250,0/250",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "no",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/200,0/200",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "nz",
        dial: "400",
        ring: "400+450/400,0/200,400+450/400,0/2000",
        busy: "400/500,0/500",
        congestion: "400/250,0/250",
        info: "400/750,0/100,400/750,0/100,400/750,0/100,400/750,0/400",
    },
    Country {
        code: "ph",
        dial: "425",
        ring: "425+480/1000,0/4000",
        busy: "480+620/500,0/500",
        congestion: "480+620/250,0/250",
        info: "!950/330,!1400/330,!1800/330,0",
    },
    Country {
        code: "pl",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/500,0/500",
        info: INFORMATION_THRICE,
    },
    Country {
        code: "pt",
        dial: "425",
        ring: "425/1000,0/5000",
        busy: "425/500,0/500",
        congestion: "425/200,0/200",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "ru",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/350,0/350",
        congestion: "425/175,0/175",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "se",
        dial: "425",
        ring: "425/1000,0/5000",
        busy: "425/250,0/250",
        congestion: "425/250,0/750",
        info: "!950/332,!0/24,!1400/332,!0/24,!1800/332,!0/2024,950/332,0/24,1400/332,0/24,1800/332,0/2024",
    },
    Country {
        code: "sg",
        dial: "425",
        ring: "425*24/400,0/200,425*24/400,0/2000",
        busy: "425/750,0/750",
        congestion: "425/250,0/250",
        info: "950/330,1400/330,1800/330,0/1000",
    },
    Country {
        code: "th",
        dial: "400*50",
        ring: "420/1000,0/5000",
        busy: "400/500,0/500",
        congestion: "400/300,0/300",
        info: "950/330,1400/330,1800/330",
    },
    Country {
        code: "tw",
        dial: "350+440",
        ring: "440+480/1000,0/2000",
        busy: "480+620/500,0/500",
        congestion: "480+620/250,0/250",
        info: "!950/330,!1400/330,!1800/330,0",
    },
    Country {
        code: "uk",
        dial: "350+440",
        ring: "400+450/400,0/200,400+450/400,0/2000",
        busy: "400/375,0/375",
        congestion: "400/400,0/350,400/225,0/525",
        info: "950/330,0/15,1400/330,0/15,1800/330,0/1000",
    },
    Country {
        code: "us",
        dial: "350+440",
        ring: "440+480/2000,0/4000",
        busy: "480+620/500,0/500",
        congestion: "480+620/250,0/250",
        info: "!950/330,!1400/330,!1800/330,0",
    },
    Country {
        code: "ve",
        dial: "425",
        ring: "425/1000,0/4000",
        busy: "425/500,0/500",
        congestion: "425/250,0/250",
        info: "!950/330,!1440/330,!1800/330,0/1000",
    },
    Country {
        code: "za",
        dial: "400*33",
        ring: "400*33/400,0/200,400*33/400,0/2000",
        busy: "400/500,0/500",
        congestion: "400/250,0/250",
        info: "950/330,1400/330,1800/330,0/330",
    },
];
