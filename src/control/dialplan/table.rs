//! The extensions of one context, found by what was dialled.
//!
//! Plain names are found by hash. Patterns stand in a tree by their elements, the children of a node in the order of
//! preference, so that the first pattern that a walk from left to right reaches is the one that Asterisk's sorted
//! list gives. The work grows with the length of what was dialled and the wildcards on its way, not with the number
//! of extensions.

use super::pattern::{EXTENSION_LENGTH_MAX, Element, Name, canonical, is_dialable};
use rustc_hash::FxHashMap;

/// What [`ExtensionTable::find`] gives: the place of an extension in its context.
pub(super) type ExtensionIndex = u32;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct ExtensionTable {
    exact: FxHashMap<String, ExtensionIndex>,
    patterns: Node,
}

/// After some elements: what may come next.
#[derive(Debug, Default)]
struct Node {
    /// Exactly this character next; they all rank before any set.
    ones: FxHashMap<char, Node>,
    /// One of a set next, by rank.
    sets: Vec<(Element, Node)>,
    many: Option<ExtensionIndex>,
    rest: Option<ExtensionIndex>,
    end: Option<ExtensionIndex>,
}

impl ExtensionTable {
    /// Adds an extension; gives back the one that has the same name or matches the same, which then stays.
    pub(super) fn insert(&mut self, name: &Name, index: ExtensionIndex) -> Option<ExtensionIndex> {
        let slot = match name {
            Name::Exact(name) => {
                let kept = *self.exact.entry(name.clone()).or_insert(index);
                return (kept != index).then_some(kept);
            }
            Name::Pattern(elements) => self.patterns.slot(elements),
        };
        let kept = *slot.get_or_insert(index);
        (kept != index).then_some(kept)
    }

    /// The extension for what was dialled: the exact one, or else the best pattern.
    pub(super) fn find(&self, dialled: &str) -> Option<ExtensionIndex> {
        let dialled = canonical(dialled);
        if let Some(found) = self.exact.get(dialled.as_ref()) {
            return Some(*found);
        }
        if dialled.chars().count() > EXTENSION_LENGTH_MAX {
            return None;
        }
        let open_from = dialled
            .char_indices()
            .rev()
            .find(|(_, c)| !is_dialable(*c))
            .map_or(0, |(at, c)| at + c.len_utf8());
        self.patterns.find(&dialled, 0, open_from)
    }
}

impl ExtensionTable {
    /// Whether more digits behind these could match. `.` takes any more; `!` waits for none (as in Asterisk). This looks
    /// at every plain name: it is for one who presses digits.
    pub(super) fn goes_on(&self, dialled: &str) -> bool {
        let is_longer = |name: &String| name.len() > dialled.len() && name.starts_with(dialled);
        self.exact.keys().any(is_longer) || self.patterns.goes_on(dialled)
    }
}

impl Node {
    fn goes_on(&self, dialled: &str) -> bool {
        let mut rest = dialled.chars();
        let Some(c) = rest.next() else {
            return !self.ones.is_empty() || !self.sets.is_empty() || self.many.is_some();
        };
        let rest = rest.as_str();
        let one = self.ones.get(&c);
        let mut sets = self.sets.iter().filter(|(set, _)| set.takes(c));
        self.many.is_some()
            || one.is_some_and(|node| node.goes_on(rest))
            || sets.any(|(_, node)| node.goes_on(rest))
    }

    /// Where the extension of these elements is kept; nodes are made on the way.
    fn slot(&mut self, elements: &[Element]) -> &mut Option<ExtensionIndex> {
        let mut node = self;
        for element in elements {
            match *element {
                Element::One(c) => node = node.ones.entry(c).or_default(),
                Element::Set(_) => {
                    let found = node
                        .sets
                        .binary_search_by_key(&element.rank(), |(set, _)| set.rank());
                    let at = found.unwrap_or_else(|at| {
                        node.sets.insert(at, (*element, Node::default()));
                        at
                    });
                    node = &mut node.sets[at].1;
                }
                Element::Many => return &mut node.many,
                Element::Rest => return &mut node.rest,
            }
        }
        &mut node.end
    }

    /// The first pattern in order that matches `dialled` from byte `at`. From byte `open_from` on, wildcards may take it all.
    fn find(&self, dialled: &str, at: usize, open_from: usize) -> Option<ExtensionIndex> {
        let next = dialled[at..].chars().next();
        if let Some(c) = next {
            let after = at + c.len_utf8();
            let one = self.ones.get(&c);
            let found = one.and_then(|node| node.find(dialled, after, open_from));
            if found.is_some() {
                return found;
            }
            for (set, node) in &self.sets {
                if set.takes(c) {
                    let found = node.find(dialled, after, open_from);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        let open = at >= open_from;
        let many = self.many.filter(|_| open && next.is_some());
        let rest = self.rest.filter(|_| open);
        // The end of a pattern ranks after `!` in Asterisk's order, so `_X!` beats `_X`.
        many.or(rest).or(self.end.filter(|_| next.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(names: &[&str]) -> ExtensionTable {
        let mut table = ExtensionTable::default();
        for (index, name) in (0..).zip(names) {
            let name = Name::parse(name).expect("a good name");
            assert_eq!(table.insert(&name, index), None);
        }
        table
    }

    fn found<'n>(names: &[&'n str], dialled: &str) -> Option<&'n str> {
        table(names)
            .find(dialled)
            .map(|index| names[index as usize])
    }

    #[test]
    fn each_pattern_takes_what_it_should() {
        for (pattern, yes, no) in [
            (
                "_X.",
                &["12", "1a", "0+*#", "1-2"][..],
                &["1", "a1", "", "1-", "-"][..],
            ),
            (
                "_+49X.",
                &["+4930", "+49-301"],
                &["+49", "+493", "4930", "+48301"],
            ),
            ("_+X.", &["+12", "+1x"], &["+1", "12", "+a1"]),
            ("_00X.", &["0012", "00491"], &["001", "0a1", "00"]),
            ("_0Z.", &["010", "0999"], &["001", "01", "10"]),
            ("_Z.", &["110", "99"], &["011", "1"]),
            (
                "_6XXX",
                &["6001", "6-001"],
                &["600", "60011", "7001", "6a01"],
            ),
            ("_XXXX", &["0000", "9999"], &["999", "99999"]),
            (
                "_+1NXXNXXXXXX",
                &["+12025550123"],
                &["+11025550123", "+1202555012"],
            ),
            ("_1NXXNXXXXXX", &["12025550123"], &["+12025550123"]),
            (
                "_NXXNXXXXXX",
                &["2025550123", "202-555-0123"],
                &["1025550123", "2021550123"],
            ),
            ("_NXXXXXX", &["5550123"], &["1550123", "555012"]),
            ("_N11", &["211", "911"], &["111", "912"]),
            ("_[1-5]x", &["10", "59"], &["60", "5"]),
            ("_[a-c]z", &["a1", "c9"], &["d1", "a0", "A1"]),
            ("_12!", &["12", "123", "12abc"], &["1", "13"]),
            ("_!", &["", "1", "abc"], &[]),
            ("_.", &["1", "abc"], &[""]),
            ("_öl.", &["öl1", "öl-ß"], &["oel1", "öl"]),
        ] {
            let table = table(&[pattern]);
            for dialled in yes {
                assert_eq!(table.find(dialled), Some(0), "{pattern} takes {dialled}");
            }
            for dialled in no {
                assert_eq!(
                    table.find(dialled),
                    None,
                    "{pattern} does not take {dialled}"
                );
            }
        }
    }

    #[test]
    fn digits_are_waited_for_as_long_as_any_could_match() {
        for (names, dialled, expected) in [
            (&["10", "20"][..], "1", true),
            (&["10", "20"], "10", false),
            (&["10", "20"], "3", false),
            (&["1", "_1X"], "1", true),
            (&["_1X"], "12", false),
            (&["_[1-5]XX"], "5", true),
            (&["_[1-5]XX"], "6", false),
            (&["_9."], "9", true),
            (&["_9."], "91", true),
            (&["_9!"], "9", false),
        ] {
            assert_eq!(
                table(names).goes_on(dialled),
                expected,
                "{names:?} {dialled}"
            );
        }
    }

    #[test]
    fn the_best_match_wins_whatever_the_order_of_the_file() {
        let mut names = vec![
            "_X.", "_Z.", "110", "112", "_1XX", "_11[0-4]", "_11[02]", "_11.", "_11!", "_NXX",
            "_110",
        ];
        for _ in 0..names.len() {
            names.rotate_left(1);
            for (dialled, expected) in [
                ("110", Some("110")),
                ("112", Some("112")),
                ("113", Some("_11[0-4]")),
                ("115", Some("_11.")),
                ("1155", Some("_11.")),
                ("11", Some("_11!")),
                ("120", Some("_1XX")),
                ("1200", Some("_Z.")),
                ("211", Some("_NXX")),
                ("2111", Some("_Z.")),
                ("0211", Some("_X.")),
                ("0", None),
            ] {
                assert_eq!(found(&names, dialled), expected, "{dialled} in {names:?}");
            }
        }
        assert_eq!(found(&["_11[02]", "_Z.", "_110"], "110"), Some("_110"));
    }

    #[test]
    fn a_dead_end_goes_back_to_the_next_best() {
        assert_eq!(found(&["_12345", "_1X34X", "_X."], "12346"), Some("_1X34X"));
        assert_eq!(found(&["_12345", "_1X34X", "_X."], "12355"), Some("_X."));
    }

    #[test]
    fn wildcards_take_no_separators() {
        for dialled in [
            "1&PJSIP/x",
            "12,30",
            "1@trunk",
            "1/2",
            "1 2",
            "12\n",
            "1${X}",
            "1(",
            "12)",
        ] {
            assert_eq!(found(&["_X.", "_X!"], dialled), None, "{dialled}");
        }
        assert_eq!(
            found(&["a&b", "_X."], "a&b"),
            Some("a&b"),
            "a name as configured is the owner's"
        );
        assert_eq!(found(&["_a&X."], "a&12"), Some("_a&X."));
    }

    #[test]
    fn duplicates_are_told_by_what_they_match() {
        for (first, second) in [("_X.", "_[0-9]."), ("100", "1-00"), ("_NXX", "_nx-x")] {
            let mut table = table(&[first]);
            let name = Name::parse(second).expect("a good name");
            assert_eq!(table.insert(&name, 1), Some(0), "{first} {second}");
        }
        table(&["_100", "100", "_10X", "_10.", "_10!", "_10"]);
    }

    /// Asterisk's way: sort all patterns, take the first that matches.
    fn first_of_sorted(names: &[Name], dialled: &str) -> Option<usize> {
        let ranks = |elements: &[Element]| -> Vec<(u32, u128)> {
            let end = (!matches!(elements.last(), Some(Element::Many | Element::Rest)))
                .then_some((0x3_0000, 0));
            elements.iter().map(|e| e.rank()).chain(end).collect()
        };
        let matches = |elements: &[Element]| {
            let mut rest = dialled.chars();
            for element in elements {
                match element {
                    Element::Many => return rest.next().is_some(),
                    Element::Rest => return true,
                    one => {
                        if !rest.next().is_some_and(|c| one.takes(c)) {
                            return false;
                        }
                    }
                }
            }
            rest.next().is_none()
        };
        (0..names.len())
            .filter_map(|index| match &names[index] {
                Name::Pattern(elements) if matches(elements) => Some((ranks(elements), index)),
                _ => None,
            })
            .min()
            .map(|(_, index)| index)
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_the_sorted_list_finds(
            patterns in proptest::collection::vec("_([0-3XZN]|\\[0-2\\]|\\[13\\]){0,4}[0-3XZN.!]", 1..12),
            dialled in "[0-3]{0,6}",
        ) {
            let names: Vec<Name> = patterns.iter().map(|p| Name::parse(p).expect("a good name")).collect();
            let mut table = ExtensionTable::default();
            for (index, name) in (0..).zip(&names) {
                table.insert(name, index);
            }
            let expected = first_of_sorted(&names, &dialled).map(|index| &names[index]);
            let found = table.find(&dialled).map(|index| &names[index as usize]);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_text_is_a_name_or_an_error(text in "\\PC{0,20}", dialled in "\\PC{0,20}") {
            if let Ok(name) = Name::parse(&text) {
                let mut table = ExtensionTable::default();
                table.insert(&name, 0);
                let plain = matches!(name, Name::Exact(_));
                prop_assert!(!plain || table.find(&text) == Some(0));
                table.find(&dialled);
            }
        }
    }
}
