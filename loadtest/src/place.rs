//! Where a command runs: here, or in a network namespace and on a core of its own.

use std::process::Command;

/// A network namespace and a core, each if wanted.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Name of the namespace; None for ours.
    pub namespace: Option<String>,
    /// Core to pin to.
    pub core: Option<usize>,
}

impl Place {
    /// The command that runs the program there. `ip netns exec` and `taskset` replace themselves by it, so its
    /// process id is the child's.
    pub fn command(&self, program: &str) -> Command {
        let mut words: Vec<String> = Vec::new();
        if let Some(namespace) = &self.namespace {
            words.extend(["ip", "netns", "exec", namespace].map(str::to_owned));
        }
        if let Some(core) = self.core {
            words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}
