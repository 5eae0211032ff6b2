//! What an endpoint's calls say of who calls and who is called: the identity keys of pjsip.conf.

/// The identity keys of `[endpoint.*]`. Names and defaults are those of pjsip.conf; `called_party` is Ringway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `trust_id_inbound`: P-Asserted-Identity and Remote-Party-ID of its calls are believed. Default false.
    pub trust_id_inbound: bool,
    /// `trust_id_outbound`: it is told who calls even if the caller is to stay private. Default false.
    pub trust_id_outbound: bool,
    /// `send_pai`: calls to it carry P-Asserted-Identity (RFC 3325). Default false.
    pub send_pai: bool,
    /// `send_rpid`: calls to it carry Remote-Party-ID. Default false.
    pub send_rpid: bool,
    /// `send_diversion`: calls to it carry Diversion (RFC 5806) if they were forwarded. Default true.
    pub send_diversion: bool,
    /// `send_history_info`: calls to it carry History-Info (RFC 7044) if they were forwarded. Default false.
    pub send_history_info: bool,
    /// `callerid_privacy`: goes with the `callerid` of the endpoint. Default `allowed_not_screened`.
    pub callerid_privacy: Presentation,
    /// `contact_user`: user of our Contact on calls to it. None: that of From.
    pub contact_user: Option<String>,
    /// `called_party`: where the number dialled is found, the first that names one. The Request-URI always comes last.
    pub called_party: Vec<CalledParty>,
}

/// A place in an INVITE that says who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledParty {
    /// P-Called-Party-ID (RFC 7315 §4.2).
    PCalledPartyId,
    /// To.
    To,
    /// The Request-URI.
    RequestUri,
}

impl CalledParty {
    /// As `called_party` names them, in the order of [`CalledParty::of_name`].
    pub(super) const NAMES: &'static [&'static str] = &["p_called_party_id", "to", "request_uri"];

    /// The one of that name; the Request-URI for any other.
    pub(super) fn of_name(name: &str) -> CalledParty {
        match name {
            "p_called_party_id" => CalledParty::PCalledPartyId,
            "to" => CalledParty::To,
            _ => CalledParty::RequestUri,
        }
    }
}

/// Whether a caller may be shown, and whether somebody has checked its number (the presentation and screening
/// indicators of Q.931 §4.5.10), with Asterisk's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presentation {
    /// May be shown; nobody has checked it.
    #[default]
    AllowedNotScreened,
    /// May be shown; the caller's number was checked and is right.
    AllowedPassedScreen,
    /// May be shown; the caller's number was checked and is wrong.
    AllowedFailedScreen,
    /// May be shown; the network gave the number.
    Allowed,
    /// To be kept from the callee; nobody has checked it.
    ProhibNotScreened,
    /// To be kept from the callee; the caller's number was checked and is right.
    ProhibPassedScreen,
    /// To be kept from the callee; the caller's number was checked and is wrong.
    ProhibFailedScreen,
    /// To be kept from the callee; the network gave the number.
    Prohib,
    /// There is no number.
    Unavailable,
}

impl Presentation {
    /// Every name, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &[
        "allowed_not_screened",
        "allowed_passed_screen",
        "allowed_failed_screen",
        "allowed",
        "prohib_not_screened",
        "prohib_passed_screen",
        "prohib_failed_screen",
        "prohib",
        "unavailable",
    ];

    const ALL: [Presentation; 9] = [
        Presentation::AllowedNotScreened,
        Presentation::AllowedPassedScreen,
        Presentation::AllowedFailedScreen,
        Presentation::Allowed,
        Presentation::ProhibNotScreened,
        Presentation::ProhibPassedScreen,
        Presentation::ProhibFailedScreen,
        Presentation::Prohib,
        Presentation::Unavailable,
    ];

    /// As `CALLERID(pres)` gives it.
    pub fn as_str(self) -> &'static str {
        Presentation::NAMES[self as usize]
    }

    /// The one of that name, in any case.
    pub fn of_name(name: &str) -> Option<Presentation> {
        let mut named = Presentation::ALL.into_iter().zip(Presentation::NAMES);
        let found = named.find(|(_, known)| known.eq_ignore_ascii_case(name.trim()));
        found.map(|(presentation, _)| presentation)
    }

    /// True if a callee that is not trusted must not learn who calls.
    pub fn is_private(self) -> bool {
        !matches!(
            self,
            Presentation::AllowedNotScreened
                | Presentation::AllowedPassedScreen
                | Presentation::AllowedFailedScreen
                | Presentation::Allowed
        )
    }

    /// True if the number was checked and is right.
    pub fn is_screened(self) -> bool {
        matches!(
            self,
            Presentation::AllowedPassedScreen
                | Presentation::Allowed
                | Presentation::ProhibPassedScreen
                | Presentation::Prohib
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presentation_is_found_by_its_name() {
        for presentation in Presentation::ALL {
            assert_eq!(
                Presentation::of_name(presentation.as_str()),
                Some(presentation)
            );
        }
        assert_eq!(
            Presentation::of_name(" Prohib "),
            Some(Presentation::Prohib)
        );
        assert_eq!(Presentation::of_name("secret"), None);
    }
}
