//! Via (RFC 3261 §20.42, RFC 3581).

use super::Host;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP` …
    pub protocol: &'a str,
    /// The host of sent-by.
    pub host: Host,
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The parameters as written, without the first `;`.
    pub params: &'a str,
}

#[allow(unused_variables)]
impl<'a> Via<'a> {
    /// Parses one value.
    pub fn parse(text: &'a str) -> Option<Via<'a>> {
        todo!()
    }
    /// The branch parameter.
    pub fn branch(&self) -> Option<&'a str> {
        todo!()
    }
    /// A parameter's value (`Some("")` for one without a value).
    pub fn param(&self, name: &str) -> Option<&'a str> {
        todo!()
    }
}
