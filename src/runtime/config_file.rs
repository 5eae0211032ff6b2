//! Reads the configuration's file, once at start and at a reload, and what it takes from its surroundings.

use crate::config::{LoadError, Loaded, Lookup, parse};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a configuration, far above what a hundred thousand endpoints need.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes of a secret.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Reads and checks a configuration file, with the process's environment for `${env:…}`.
///
/// # Errors
/// [`LoadError::Read`] if there is no such file, [`LoadError::Invalid`] if it has an error.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let name = path.display().to_string();
    let text = read(path).map_err(|source| LoadError::Read {
        file: name.clone(),
        source,
    })?;
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    parse(&name, &text, &Environment { directory })
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The process's environment, and files from a directory on.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where paths that are not absolute start.
    pub directory: PathBuf,
}

impl Lookup for Environment {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file_first_line(&self, path: &str) -> Result<String, String> {
        let file = File::open(self.directory.join(path)).map_err(|error| error.to_string())?;
        let mut line = String::new();
        BufReader::new(file.take(LINE_BYTES_MAX))
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_looked_for_beside_the_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("ringway.toml");
        let text = "[transport.udp]\nbind = \"127.0.0.1\"\n[admin]\nlisten = \"127.0.0.1:8088\"\n\
                    token = \"${file:token.secret}\"\n";
        std::fs::write(&path, text).expect("written");
        let missing = load(&path).expect_err("no secret yet").to_string();
        assert!(
            missing.contains(
                "ringway.toml:5:9: error: admin.token: the file token.secret cannot be read"
            ),
            "{missing}"
        );
        std::fs::write(directory.path().join("token.secret"), "t0ken\r\nnot this\n")
            .expect("written");
        let token = load(&path).expect("valid").settings.admin.token;
        assert_eq!(token.map(|token| token.0).as_deref(), Some("t0ken"));
        let unreadable = load(&directory.path().join("none.toml")).expect_err("no file");
        assert!(matches!(unreadable, LoadError::Read { .. }));
    }
}
