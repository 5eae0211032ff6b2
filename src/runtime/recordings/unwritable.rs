//! A directory of recordings that cannot be written: told when a configuration is read, so that nobody finds out by the first
//! call that is not recorded.

use crate::config::Diagnostic;
use crate::control::setup::Setup;
use nix::unistd::{AccessFlags, access};
use std::path::Path;

/// A warning, if `[recording]` names a directory that this process could not write to, or not make. The state directory,
/// where recordings go without that key, is the store's affair.
pub fn unwritable_recordings(setup: &Setup) -> Option<Diagnostic> {
    let recording = &setup.settings().recording;
    let directory = recording.directory.as_deref()?;
    let error = writable(directory).err()?;
    let message = format!(
        "{} cannot be written ({error}), so no call is recorded; expected a directory that the gateway's user may write to \
         (a systemd unit needs ReadWritePaths= for it as well)",
        directory.display()
    );
    Some(Diagnostic::warning(
        recording.location,
        "recording.directory",
        message,
    ))
}

/// Whether files can be made in there. What is not there yet is made when it is needed.
fn writable(directory: &Path) -> Result<(), String> {
    let mut there = directory.ancestors().filter(|path| path.exists());
    let there = there.next().ok_or("it is not there")?;
    if !there.is_dir() {
        return Err(format!("{} is no directory", there.display()));
    }
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    access(there, wanted).map_err(|error| error.desc().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoLookup, parse};

    fn warning(directory: &Path) -> Option<String> {
        let text = format!(
            "[transport.udp]\nprotocol = \"udp\"\nbind = \"127.0.0.1:5060\"\n\n[recording]\ndirectory = \"{}\"\n",
            directory.display()
        );
        let loaded = parse("test", &text, &NoLookup).expect("a good configuration");
        let (setup, _) = Setup::build(loaded.settings).expect("a good dialplan");
        let found = unwritable_recordings(&setup);
        found.map(|found| found.display("f").to_string())
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_told_with_its_line() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(warning(root.path()), None);
        assert_eq!(warning(&root.path().join("is/made/when/needed")), None);
        let file = root.path().join("file");
        std::fs::write(&file, "").expect("written");
        for below in [file.clone(), file.join("below")] {
            let told = warning(&below).expect("a warning");
            assert!(told.starts_with("f:6:"), "{told}");
            assert!(told.contains("is no directory"), "{told}");
        }
    }
}
