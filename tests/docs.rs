//! What the documentation tells people to type works: every configuration passes `check`, every `ringway` command runs
//! against a gateway with the default configuration, every `make` target exists.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PAGES: [&str; 5] = [
    "README.md",
    "docs/phones.md",
    "docs/operations.md",
    "docs/ARCHITECTURE.md",
    "docs/performance.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of that language, each with its page and first line.
fn blocks(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        let mut open: Option<(String, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            match open.take() {
                Some(block) if line == "```" => found.push(block),
                Some((place, mut block)) => {
                    block.push_str(line);
                    block.push('\n');
                    open = Some((place, block));
                }
                None if line == format!("```{language}") => {
                    open = Some((format!("{page}:{}", number + 1), String::new()))
                }
                None => {}
            }
        }
        assert!(open.is_none(), "{page}: a block is not closed");
    }
    found
}

fn commands(program: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (place, block) in blocks("console") {
        for line in block.lines() {
            let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
            if words.len() > 1 && words[0] == "$" && words[1] == program {
                found.push((place.clone(), words[2..].to_vec()));
            }
        }
    }
    found
}

fn ringway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.current_dir(root());
    command
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The files that configurations name, made as people are told to make them.
fn make_certificates(folder: &Path) {
    let commands = commands("openssl");
    assert!(!commands.is_empty());
    for (place, words) in commands {
        let made = Command::new("openssl")
            .args(words)
            .current_dir(folder)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{place}: {}", text(&made));
    }
}

#[test]
fn every_configuration_passes_the_check() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_certificates(folder.path());
    let configurations = blocks("toml");
    assert!(!configurations.is_empty());
    for (place, configuration) in configurations {
        let file = folder.path().join("documented.toml");
        std::fs::write(&file, configuration).expect("the file is written");
        let output = ringway()
            .arg("check")
            .arg(&file)
            .output()
            .expect("ringway runs");
        assert!(output.status.success(), "{place}: {}", text(&output));
    }
    for file in [
        "config/ringway.toml",
        "config/examples/enterprise-trunk.toml",
    ] {
        let output = ringway()
            .args(["check", file])
            .output()
            .expect("ringway runs");
        assert!(output.status.success(), "{file}: {}", text(&output));
    }
}

/// The default gateway, on addresses of the test's own.
struct Gateway {
    process: Child,
    admin: String,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start() -> Gateway {
        let host = format!("127.{}.250.1", 10 + std::process::id() % 240);
        let default = std::fs::read_to_string(root().join("config/ringway.toml"))
            .expect("the default configuration");
        let ours = default.replace("127.0.0.1:", &format!("{host}:"));
        assert_ne!(ours, default);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file: &Path = &folder.path().join("ringway.toml");
        std::fs::write(file, ours).expect("the file is written");
        let mut command = ringway();
        command
            .args(["run", "-c"])
            .arg(file)
            .env("STATE_DIRECTORY", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().expect("ringway runs");
        let output = process.stdout.take().expect("its output is piped");
        assert!(
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .any(|line| line.trim() == "ready")
        );
        Gateway {
            process,
            admin: format!("http://{host}:8088"),
            _folder: folder,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_command_runs() {
    let gateway = Gateway::start();
    let commands = commands("ringway");
    assert!(commands.len() >= 8);
    // The one that ends the gateway comes last; `run` is what has been started above.
    let (last, others): (Vec<_>, Vec<_>) = commands
        .into_iter()
        .partition(|(_, words)| words[0] == "drain");
    for (place, words) in others
        .into_iter()
        .chain(last)
        .filter(|(_, words)| words[0] != "run")
    {
        let output = ringway()
            .args(&words)
            .env("RINGWAY_ADMIN", &gateway.admin)
            .output()
            .expect("ringway runs");
        assert!(
            output.status.success(),
            "{place}: ringway {}: {}",
            words.join(" "),
            text(&output)
        );
    }
}

#[test]
fn every_make_target_exists() {
    let targets = commands("make");
    assert!(!targets.is_empty());
    for (place, words) in targets {
        let output = Command::new("make")
            .arg("-n")
            .args(&words)
            .current_dir(root())
            .output()
            .expect("make runs");
        assert!(
            output.status.success(),
            "{place}: make {}: {}",
            words.join(" "),
            text(&output)
        );
    }
}
