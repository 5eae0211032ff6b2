//! From, To, Contact, Route …: a name, a URI and parameters (RFC 3261 §20.10, §25.1 name-addr).

use super::Uri;

/// `"Name" <uri>;params`, or `uri;params`, whose parameters are the header's (RFC 3261 §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes and escapes, if any.
    pub display_name: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The parameters of the header, not of the URI.
    pub params: Params,
}

#[allow(unused_variables)]
impl NameAddr {
    /// Parses one value.
    pub fn parse(text: &str) -> Option<NameAddr> {
        todo!()
    }
    /// The tag parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

/// `;name=value` parameters, as written, without the first `;`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub String);

#[allow(unused_variables)]
impl Params {
    /// A parameter's value (`Some("")` for one without a value), quotes removed; the name in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        todo!()
    }
}
