//! `[registration.*]`

use super::super::accept::Typed;
use super::super::catalogue;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::Table;
use super::super::settings::{Registration, Transport};
use super::endpoints::{auth, transport};
use super::named;
use crate::sip::message::{NameAddr, Uri};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of pjsip.conf.
const EXPIRATION_DEFAULT: Duration = Duration::from_secs(3600);
const RETRY_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
const MAX_RETRIES_DEFAULT: u32 = 10;
const CONTACT_USER_DEFAULT: &str = "s";
/// Either of these says: never give up.
const NO_LIMIT: [u32; 2] = [0, u32::MAX];

/// In the order of the file.
pub(super) fn build(
    document: &Table,
    transports: &[Transport],
    auths: &BTreeMap<String, Fields>,
    checker: &mut Checker<'_>,
) -> Vec<Registration> {
    let sections = named(
        document,
        "registration",
        catalogue::REGISTRATION,
        Tell::EachKey,
        checker,
    );
    let registrations = sections.into_iter().filter_map(|(name, fields)| {
        judge(&fields, checker);
        let seconds = |key: &str, default| fields.seconds(key, default);
        let retries = fields.integer("max_retries");
        Some(Registration {
            transport: transport(&fields, transports),
            outbound_auth: auth(&fields, "outbound_auth", auths),
            server_uri: uri(&fields, "server_uri")?,
            client_uri: uri(&fields, "client_uri")?,
            contact_user: text(&fields, "contact_user")
                .unwrap_or_else(|| CONTACT_USER_DEFAULT.to_owned()),
            contact_header_params: text(&fields, "contact_header_params")
                .map(|params| params.trim_start_matches(';').to_owned())
                .unwrap_or_default(),
            outbound_proxy: uri(&fields, "outbound_proxy"),
            expiration: seconds("expiration", EXPIRATION_DEFAULT),
            retry_interval: seconds("retry_interval", RETRY_INTERVAL_DEFAULT),
            forbidden_retry_interval: seconds("forbidden_retry_interval", Duration::ZERO),
            fatal_retry_interval: seconds("fatal_retry_interval", Duration::ZERO),
            max_retries: Some(retries.unwrap_or(MAX_RETRIES_DEFAULT))
                .filter(|retries| !NO_LIMIT.contains(retries)),
            auth_rejection_permanent: fields.boolean("auth_rejection_permanent", true),
            support_path: fields.boolean("support_path", false),
            line: fields.boolean("line", false),
            endpoint: text(&fields, "endpoint"),
            name,
        })
    });
    registrations.collect()
}

fn text(fields: &Fields, key: &str) -> Option<String> {
    fields.text(key).cloned()
}

fn uri(fields: &Fields, key: &str) -> Option<Uri> {
    match fields.get(key) {
        Some(Typed::Uris(uris)) => uris.first().map(|(uri, _)| uri.clone()),
        _ => None,
    }
}

/// What each key alone does not show.
fn judge(fields: &Fields, checker: &mut Checker<'_>) {
    let mut error = |key: &str, message: String| {
        let report = &mut checker.report;
        report.error(fields.location_of(key), fields.path_of(key), message);
    };
    if fields.boolean("line", false) && !fields.has("endpoint") {
        let message = "it tells whose the calls are that come by this registration, but no endpoint is named; \
                       expected endpoint = \"NAME\" as well";
        error("line", String::from(message));
    }
    if fields.seconds("expiration", EXPIRATION_DEFAULT) < Duration::from_secs(1) {
        let message = "found less than 1, which would end the registration; expected 1 or more";
        error("expiration", String::from(message));
    }
    if let Some(user) = fields.text("contact_user")
        && Uri::parse(&format!("sip:{user}@localhost"))
            .is_none_or(|uri| uri.user.as_ref() != Some(user))
    {
        let message =
            "it cannot be the user of a SIP URI; expected letters, digits and -_.!~*'()&=+$,;?/";
        error("contact_user", String::from(message));
    }
    if let Some(params) = fields.text("contact_header_params") {
        let params = params.trim_start_matches(';');
        let contact = NameAddr::parse(&format!("<sip:localhost>;{params}"));
        if contact.is_none() {
            let message = "found no parameters of a Contact header; expected \"q=0.5;name=value\"";
            error("contact_header_params", String::from(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoLookup, parse};

    /// The registration `r` with these keys, or what is wrong with it.
    fn registration(keys: &str) -> Result<Registration, String> {
        let text = format!(
            "[transport.udp]\nbind = \"127.0.0.1\"\n[auth.a]\nusername = \"u\"\npassword = \"p:w@d\"\n\
             [endpoint.trunk]\n[registration.r]\nserver_uri = \"sip:example.com\"\n\
             client_uri = \"sip:+49301@example.com\"\n{keys}"
        );
        match parse("test.toml", &text, &NoLookup) {
            Ok(loaded) => Ok(loaded.settings.registrations[0].clone()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_defaults_are_asterisks() {
        let registration = registration("").expect("valid");
        assert_eq!(registration.contact_user, "s");
        assert_eq!(registration.expiration, Duration::from_secs(3600));
        assert_eq!(registration.retry_interval, Duration::from_secs(60));
        assert_eq!(registration.forbidden_retry_interval, Duration::ZERO);
        assert_eq!(registration.fatal_retry_interval, Duration::ZERO);
        assert_eq!(registration.max_retries, Some(10));
        assert!(registration.auth_rejection_permanent);
        assert!(!registration.support_path && !registration.line);
        assert_eq!(
            (registration.outbound_auth, registration.transport),
            (None, None)
        );
    }

    #[test]
    fn every_key_is_read() {
        let registration = registration(
            "transport = \"udp\"\noutbound_auth = \"a\"\ncontact_user = \"+49301\"\n\
             contact_header_params = \";q=0.5;x\"\noutbound_proxy = \"sip:192.0.2.1;lr\"\nexpiration = 480\n\
             retry_interval = 1\nforbidden_retry_interval = 2\nfatal_retry_interval = 3\nmax_retries = 4294967295\n\
             auth_rejection_permanent = false\nsupport_path = true\nline = true\nendpoint = \"trunk\"",
        );
        let registration = registration.expect("valid");
        let auth = registration.outbound_auth.expect("named");
        assert_eq!(
            (auth.username.as_str(), auth.password.0.as_str()),
            ("u", "p:w@d")
        );
        assert_eq!(registration.transport.map(|id| id.0), Some(0));
        assert_eq!(registration.contact_user, "+49301");
        assert_eq!(registration.contact_header_params, "q=0.5;x");
        assert_eq!(registration.expiration, Duration::from_secs(480));
        let waits = [
            registration.retry_interval,
            registration.forbidden_retry_interval,
            registration.fatal_retry_interval,
        ];
        assert_eq!(waits, [1, 2, 3].map(Duration::from_secs));
        assert_eq!(registration.max_retries, None, "never gives up");
        assert!(!registration.auth_rejection_permanent && registration.support_path);
        assert_eq!(
            (registration.line, registration.endpoint.as_deref()),
            (true, Some("trunk"))
        );
    }

    #[test]
    fn what_cannot_work_is_an_error() {
        for (keys, part) in [
            ("line = true", "registration.r.line: it tells whose"),
            (
                "expiration = 0",
                "registration.r.expiration: found less than 1",
            ),
            (
                "contact_user = \"a@b\"",
                "registration.r.contact_user: it cannot be",
            ),
            (
                "contact_user = \"a:b\"",
                "registration.r.contact_user: it cannot be",
            ),
            (
                "contact_header_params = \"a b\"",
                "registration.r.contact_header_params: found no",
            ),
            (
                "endpoint = \"nobody\"",
                "registration.r.endpoint: there is no section",
            ),
        ] {
            let error = registration(keys).expect_err(keys);
            assert!(error.contains(part), "{keys}: {error}");
        }
    }
}
