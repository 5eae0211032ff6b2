//! A channel's variables and what its children inherit of them.

use std::collections::BTreeMap;

/// The most variables that a channel holds; a further one is refused.
pub const VARIABLES_MAX: usize = 1024;

/// Variables by name. Names are case-sensitive.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    by_name: BTreeMap<String, Variable>,
}

/// A variable's value, and who inherits it.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    value: String,
    inheritance: Inheritance,
}

/// How far a variable goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inheritance {
    /// Stays with its channel.
    None,
    /// `_NAME`: goes to the channels that this one makes, and no further.
    Children,
    /// `__NAME`: goes to all that descend from it.
    Descendants,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(|variable| &variable.value[..])
    }

    /// Sets `NAME`, `_NAME` or `__NAME`; all three are the variable NAME. False if there are [`VARIABLES_MAX`].
    pub(super) fn set(&mut self, name: &str, value: String) -> bool {
        let (bare, inheritance) = match (name.strip_prefix("__"), name.strip_prefix('_')) {
            (Some(bare), _) => (bare, Inheritance::Descendants),
            (_, Some(bare)) => (bare, Inheritance::Children),
            _ => (name, Inheritance::None),
        };
        if self.by_name.len() >= VARIABLES_MAX && !self.by_name.contains_key(bare) {
            return false;
        }
        let variable = Variable { value, inheritance };
        self.by_name.insert(bare.to_owned(), variable);
        true
    }

    /// Takes a variable away.
    pub(super) fn take(&mut self, name: &str) -> Option<Variable> {
        self.by_name.remove(name)
    }

    /// Makes a variable what it was before [`Variables::take`].
    pub(super) fn put(&mut self, name: String, before: Option<Variable>) {
        match before {
            Some(variable) => self.by_name.insert(name, variable),
            None => self.by_name.remove(&name),
        };
    }

    /// What a channel made by this one begins with: names as for [`Variables::set`].
    pub(super) fn inherited(&self) -> Vec<(String, String)> {
        let inherited = |(name, variable): (&String, &Variable)| {
            let name = match variable.inheritance {
                Inheritance::None => return None,
                Inheritance::Children => name.clone(),
                Inheritance::Descendants => format!("__{name}"),
            };
            Some((name, variable.value.clone()))
        };
        self.by_name.iter().filter_map(inherited).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_underscore_goes_one_generation_and_two_go_on() {
        let mut parent = Variables::default();
        for (name, value) in [("A", "1"), ("_B", "2"), ("__C", "3")] {
            assert!(parent.set(name, value.into()));
        }
        assert_eq!((parent.get("B"), parent.get("C")), (Some("2"), Some("3")));
        let mut child = Variables::default();
        for (name, value) in parent.inherited() {
            assert!(child.set(&name, value));
        }
        assert_eq!(
            (child.get("A"), child.get("B"), child.get("C")),
            (None, Some("2"), Some("3"))
        );
        assert_eq!(child.inherited(), [("__C".to_owned(), "3".to_owned())]);
        assert!(parent.set("C", "4".into()));
        assert_eq!(parent.inherited(), [("B".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn beyond_the_limit_only_known_names_are_set() {
        let mut variables = Variables::default();
        for n in 0..VARIABLES_MAX {
            assert!(variables.set(&format!("V{n}"), String::new()));
        }
        assert!(!variables.set("W", String::new()));
        assert!(variables.set("V0", "x".into()));
        assert_eq!(variables.get("V0"), Some("x"));
    }
}
