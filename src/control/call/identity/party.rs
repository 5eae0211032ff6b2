//! Who an INVITE says is calling, and whom.

use super::{TEXT_MAX, cut};
use crate::config::settings::{CalledParty, Endpoint, Presentation};
use crate::sip::message::{Headers, NameAddr, Request, Uri};

/// The number that stands for a caller who gives none (RFC 3323 §4.1.1.3).
pub const ANONYMOUS: &str = "anonymous";
/// The host of such a caller's address.
pub const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The number; may be empty.
    pub number: String,
    /// The name; may be empty.
    pub name: String,
    /// Whether others may learn of it.
    pub presentation: Presentation,
}

impl Caller {
    /// Who calls, by the endpoint's own word where that is trusted, else by its configuration, else by From, which
    /// anybody may write as he likes.
    pub fn of(endpoint: &Endpoint, headers: &Headers) -> Caller {
        let identity = &endpoint.identity;
        if identity.trust_id_inbound
            && let Some(caller) = asserted(headers).or_else(|| remote_party(headers))
        {
            return caller;
        }
        match &endpoint.callerid {
            Some(own) => Caller {
                number: own.number.clone(),
                name: own.name.clone(),
                presentation: identity.callerid_privacy,
            },
            None => of_from(headers),
        }
    }

    fn new(address: &NameAddr, presentation: Presentation) -> Caller {
        let number = address.uri.user_decoded().unwrap_or_default();
        let name = address.display_name.as_deref().unwrap_or_default();
        Caller {
            number: cut(&number, TEXT_MAX).to_owned(),
            name: cut(name, TEXT_MAX).to_owned(),
            presentation,
        }
    }
}

/// P-Asserted-Identity with its Privacy (RFC 3325 §9.1, RFC 3323 §4.2).
fn asserted(headers: &Headers) -> Option<Caller> {
    let address = headers
        .values("P-Asserted-Identity")
        .find_map(NameAddr::parse)?;
    let presentation = if wants_privacy(headers) {
        Presentation::ProhibPassedScreen
    } else {
        Presentation::AllowedPassedScreen
    };
    Some(Caller::new(&address, presentation))
}

/// Remote-Party-ID of the calling party (draft-ietf-sip-privacy-04 §5.1).
fn remote_party(headers: &Headers) -> Option<Caller> {
    let of_caller = |address: &NameAddr| {
        let party = address.params.get("party").unwrap_or("calling");
        party.eq_ignore_ascii_case("calling")
    };
    let mut all = headers
        .values("Remote-Party-ID")
        .filter_map(NameAddr::parse);
    let address = all.find(of_caller)?;
    let is = |name: &str, word: &str| {
        let value = address.params.get(name).unwrap_or("");
        value.eq_ignore_ascii_case(word)
    };
    let is_private = !is("privacy", "off") && !is("privacy", "");
    let presentation = match (is_private || wants_privacy(headers), is("screen", "yes")) {
        (false, true) => Presentation::AllowedPassedScreen,
        (false, false) => Presentation::AllowedNotScreened,
        (true, true) => Presentation::ProhibPassedScreen,
        (true, false) => Presentation::ProhibNotScreened,
    };
    Some(Caller::new(&address, presentation))
}

fn of_from(headers: &Headers) -> Caller {
    let from = headers.from();
    let mut caller = Caller::new(&from, Presentation::AllowedNotScreened);
    let host = from.uri.host.as_ref().map(ToString::to_string);
    let is_anonymous = caller.number.eq_ignore_ascii_case(ANONYMOUS)
        || host.is_some_and(|host| host.eq_ignore_ascii_case(ANONYMOUS_HOST));
    if is_anonymous || wants_privacy(headers) {
        caller.presentation = Presentation::ProhibNotScreened;
    }
    caller
}

/// A Privacy that asks for anything (RFC 3323 §4.2): we are a B2BUA, which gives `header` and `session` privacy to
/// everybody, so each of the words comes to the same here.
fn wants_privacy(headers: &Headers) -> bool {
    let mut words = headers
        .lines("Privacy")
        .flat_map(|line| line.split([';', ',']))
        .map(str::trim);
    words.any(|word| !word.is_empty() && !word.eq_ignore_ascii_case("none"))
}

/// The number dialled, where `called_party` of the endpoint says that it stands; `s` if nothing tells one.
pub fn called(endpoint: &Endpoint, request: &Request) -> String {
    let places = endpoint.identity.called_party.iter().copied();
    let mut found = places
        .chain([CalledParty::RequestUri])
        .filter_map(|place| number_at(place, request));
    found.next().unwrap_or_else(|| String::from("s"))
}

fn number_at(place: CalledParty, request: &Request) -> Option<String> {
    let headers = request.headers();
    let uri = match place {
        CalledParty::PCalledPartyId => {
            let mut values = headers.values("P-Called-Party-ID");
            values.find_map(NameAddr::parse)?.uri
        }
        CalledParty::To => headers.to().uri,
        CalledParty::RequestUri => Uri::parse(request.uri())?,
    };
    let user = uri.user_decoded()?;
    (!user.is_empty()).then_some(user)
}
