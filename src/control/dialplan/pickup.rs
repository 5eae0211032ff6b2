//! The arguments of Pickup: `extension[@context][&…]`, or none.

/// Most calls that one Pickup names; further ones are left out.
pub const PICKUPS_MAX: usize = 64;

/// The mark in the place of a context: the extension is the value of the ringing call's variable PICKUPMARK.
const MARK: &str = "PICKUPMARK";

/// Which ringing calls a Pickup takes over, the first that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PickupRequest {
    /// `Pickup()`: one that rings an endpoint of a group that this endpoint may pick up.
    Group,
    /// One of these.
    Named(Vec<PickupTarget>),
}

/// One of the calls that a Pickup names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PickupTarget {
    /// It has dialled this extension.
    Extension {
        /// The extension.
        extension: String,
        /// Its context.
        context: String,
    },
    /// It has this value in PICKUPMARK.
    Mark(String),
}

/// Reads Pickup's expanded arguments; an extension without a context is one of `context`.
pub(super) fn parse(args: &str, context: &str) -> PickupRequest {
    let names = args.split('&').map(str::trim).filter(|one| !one.is_empty());
    let named: Vec<_> = names
        .take(PICKUPS_MAX)
        .map(|one| match one.rsplit_once('@') {
            Some((mark, MARK)) => PickupTarget::Mark(mark.to_owned()),
            Some((extension, context)) => PickupTarget::Extension {
                extension: extension.to_owned(),
                context: context.to_owned(),
            },
            None => PickupTarget::Extension {
                extension: one.to_owned(),
                context: context.to_owned(),
            },
        })
        .collect();
    match named.is_empty() {
        true => PickupRequest::Group,
        false => PickupRequest::Named(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_marks_and_the_group_are_told_apart() {
        let extension = |extension: &str, context: &str| PickupTarget::Extension {
            extension: extension.into(),
            context: context.into(),
        };
        for (args, expected) in [
            ("", PickupRequest::Group),
            (" & ", PickupRequest::Group),
            (
                "6001",
                PickupRequest::Named(vec![extension("6001", "here")]),
            ),
            (
                "6001@home& 6002 &7@PICKUPMARK",
                PickupRequest::Named(vec![
                    extension("6001", "home"),
                    extension("6002", "here"),
                    PickupTarget::Mark("7".into()),
                ]),
            ),
        ] {
            assert_eq!(parse(args, "here"), expected, "{args}");
        }
        let many = vec!["1"; PICKUPS_MAX + 1].join("&");
        let PickupRequest::Named(named) = parse(&many, "here") else {
            panic!("it names some");
        };
        assert_eq!(named.len(), PICKUPS_MAX);
    }
}
