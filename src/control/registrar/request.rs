//! A REGISTER, read: what it asks for (RFC 3261 §10.2, §10.3).

use super::CONTACTS_MAX;
use super::binding::{Contact, Instance, Origin};
use crate::sip::flow::Flow;
use crate::sip::message::{Headers, NameAddr, Request, Scheme};

/// Longest Contact, Call-ID and Path value that is kept, in bytes. A REGISTER with a longer one is refused with 400.
const VALUE_MAX: usize = 1024;
/// Most proxies in a Path; with more, 400.
const PATH_MAX: usize = 8;
/// What is kept of a User-Agent, in bytes.
const USER_AGENT_MAX: usize = 128;

/// What a REGISTER is to do to the bindings of its address of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No Contact: nothing, it only asks for the list.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// These contacts, at least one.
    Contacts(Vec<Wanted>),
}

/// One contact, and how long it is to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) contact: Contact,
    /// Seconds; 0 removes it. None: the phone leaves it to us.
    pub(super) expires: Option<u32>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) origin: Origin,
    pub(super) change: Change,
}

/// Why a REGISTER is malformed; the text becomes the reason phrase of the 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRegister {
    #[error("Contact * Must Stand Alone With Expires 0")]
    Star,
    #[error("Contact Is No SIP URI")]
    Contact,
    #[error("Too Many Contacts")]
    TooMany,
    #[error("Header Field Too Long")]
    TooLong,
}

impl Registration {
    /// True if a contact of it is told by instance and flow (RFC 5626).
    pub(super) fn speaks_outbound(&self) -> bool {
        match &self.change {
            Change::Contacts(contacts) => contacts
                .iter()
                .any(|wanted| wanted.contact.instance.is_some()),
            Change::Query | Change::RemoveAll => false,
        }
    }

    /// Reads a REGISTER that came over `flow`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(
        request: &Request,
        flow: Flow,
        is_rewritten: bool,
    ) -> Result<Registration, BadRegister> {
        let headers = request.headers();
        let path: Vec<String> = headers.values("Path").map(str::to_owned).collect();
        let call_id = headers.call_id();
        let is_too_long = |text: &str| text.len() > VALUE_MAX;
        if path.len() > PATH_MAX || is_too_long(call_id) || path.iter().any(|one| is_too_long(one))
        {
            return Err(BadRegister::TooLong);
        }
        let change = change(headers, speaks_outbound(headers, &path))?;
        Ok(Registration {
            origin: Origin {
                flow,
                is_rewritten,
                path,
                call_id: call_id.to_owned(),
                cseq: headers.cseq().number,
                user_agent: cut(headers.get("User-Agent").unwrap_or(""), USER_AGENT_MAX).to_owned(),
            },
            change,
        })
    }
}

/// RFC 5626 §6: `reg-id` means something only from a phone that says so, and over proxies only if the one nearest to
/// the phone keeps its flow (`ob`).
fn speaks_outbound(headers: &Headers, path: &[String]) -> bool {
    let is_named = ["Supported", "Require"]
        .iter()
        .flat_map(|name| headers.values(name))
        .any(|option| option.eq_ignore_ascii_case("outbound"));
    let is_direct = headers.values("Via").count() == 1;
    let keeps_flow = || {
        let last = path.last().and_then(|value| NameAddr::parse(value));
        last.is_some_and(|proxy| proxy.uri.param("ob").is_some())
    };
    is_named && (is_direct || keeps_flow())
}

fn change(headers: &Headers, outbound: bool) -> Result<Change, BadRegister> {
    let expires = headers.get("Expires").and_then(delta_seconds);
    let values: Vec<&str> = headers.values("Contact").collect();
    if values.contains(&"*") {
        // RFC 3261 §10.2.2, §10.3 step 6.
        return match (values.len(), expires) {
            (1, Some(0)) => Ok(Change::RemoveAll),
            _ => Err(BadRegister::Star),
        };
    }
    if values.is_empty() {
        return Ok(Change::Query);
    }
    if values.len() > CONTACTS_MAX {
        return Err(BadRegister::TooMany);
    }
    let mut all: Vec<Wanted> = Vec::with_capacity(values.len());
    for value in values {
        let wanted = wanted(value, expires, outbound)?;
        // The last word on a contact counts.
        all.retain(|other| !other.contact.uri.is_equivalent(&wanted.contact.uri));
        all.push(wanted);
    }
    Ok(Change::Contacts(all))
}

fn wanted(value: &str, expires: Option<u32>, outbound: bool) -> Result<Wanted, BadRegister> {
    if value.len() > VALUE_MAX {
        return Err(BadRegister::TooLong);
    }
    let address = NameAddr::parse(value).ok_or(BadRegister::Contact)?;
    if !matches!(address.uri.scheme, Scheme::Sip | Scheme::Sips) {
        return Err(BadRegister::Contact);
    }
    let param = |name| address.params.get(name);
    let instance = match (param("+sip.instance"), param("reg-id").map(str::parse)) {
        (Some(id), Some(Ok(reg_id))) if outbound && !id.contains(['"', '\\']) => Some(Instance {
            id: id.to_owned(),
            reg_id,
        }),
        _ => None,
    };
    let own = param("expires").map(delta_seconds);
    Ok(Wanted {
        expires: own.unwrap_or(expires),
        contact: Contact {
            q: param("q").filter(|q| is_qvalue(q)).map(str::to_owned),
            uri: address.uri,
            instance,
        },
    })
}

/// RFC 3261 §20.19: a number of seconds; what is none counts as not said, what is too large as the largest.
fn delta_seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

fn is_qvalue(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
