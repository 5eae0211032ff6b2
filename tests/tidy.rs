//! Style that matters is held here: which layer may import which, how long functions and files may be, and which calls
//! only `runtime` and `cli` may make.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a function, signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file, its tests not counted.
const FILE_LINES_MAX: usize = 600;

const BELOW_RUNTIME: &[&str] = &[
    "codec", "rtp", "sip", "metrics", "sdp", "config", "link", "media", "control", "admin", "store",
];

/// The table of `src/lib.rs`: each layer, and which others of ours it may import.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("store", &[]),
    ("codec", &[]),
    ("rtp", &[]),
    ("sip", &[]),
    ("metrics", &[]),
    ("sdp", &["codec", "rtp"]),
    ("config", &["codec", "sip", "metrics"]),
    ("link", &["codec", "rtp", "sip", "metrics"]),
    ("media", &["codec", "rtp", "link", "metrics"]),
    (
        "control",
        &[
            "codec", "rtp", "sdp", "sip", "config", "link", "metrics", "store",
        ],
    ),
    ("admin", &["link", "metrics", "config"]),
    ("sim", BELOW_RUNTIME),
    ("runtime", BELOW_RUNTIME),
    (
        "cli",
        &[
            "codec", "rtp", "sip", "metrics", "sdp", "config", "link", "media", "control", "admin",
            "runtime",
        ],
    ),
];

/// Paths that only `runtime` and `cli` may use: the clock, sockets, files, threads, locks.
const BANNED: [&str; 15] = [
    "Instant::now",
    "SystemTime::now",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "thread::spawn",
    "thread::sleep",
    "std::fs",
    "fs::read",
    "fs::write",
    "File::open",
    "Mutex",
    "RwLock",
    "std::process",
    "env::var",
];

/// Where `unsafe` may stand: at the system's edge and in SIMD kernels.
const MAY_BE_UNSAFE: [&str; 2] = ["runtime/", "codec/g722/avx2/"];

/// What one file does, outside its tests.
#[derive(Default)]
struct Findings {
    /// Every path in it, `a::b::c`, with its line.
    paths: Vec<(String, usize)>,
    /// Functions: name, first line, length.
    functions: Vec<(String, usize, usize)>,
    /// Lines that belong to modules under `#[cfg(test)]`.
    test_lines: usize,
    /// First lines of `unsafe` blocks.
    unsafe_lines: Vec<usize>,
    in_test: usize,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let words = list.tokens.to_string();
        list.path.is_ident("cfg")
            && words
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "test")
    })
}

impl Findings {
    fn function(&mut self, name: &syn::Ident, first: usize, last: usize) {
        if self.in_test == 0 {
            self.functions
                .push((name.to_string(), first, last + 1 - first));
        }
    }

    fn use_tree(&mut self, prefix: &str, tree: &syn::UseTree) {
        let join = |ident: &syn::Ident| match prefix {
            "" => ident.to_string(),
            prefix => format!("{prefix}::{ident}"),
        };
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&join(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self
                .paths
                .push((join(&name.ident), name.span().start().line)),
            syn::UseTree::Rename(name) => self
                .paths
                .push((join(&name.ident), name.span().start().line)),
            syn::UseTree::Glob(glob) => self
                .paths
                .push((prefix.to_owned(), glob.span().start().line)),
            syn::UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|item| self.use_tree(prefix, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Findings {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let test = is_test(&item.attrs);
        if test {
            let span = item.span();
            self.test_lines += span.end().line + 1 - span.start().line;
            self.in_test += 1;
        }
        visit::visit_item_mod(self, item);
        self.in_test -= usize::from(test);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let test = usize::from(is_test(&item.attrs));
        self.in_test += test;
        self.function(
            &item.sig.ident,
            item.sig.span().start().line,
            item.block.span().end().line,
        );
        visit::visit_item_fn(self, item);
        self.in_test -= test;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(
            &item.sig.ident,
            item.sig.span().start().line,
            item.block.span().end().line,
        );
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if self.in_test == 0 {
            self.use_tree("", &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if self.in_test == 0 {
            let parts: Vec<String> = path
                .segments
                .iter()
                .map(|part| part.ident.to_string())
                .collect();
            self.paths
                .push((parts.join("::"), path.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_lines.push(block.span().start().line);
        visit::visit_expr_unsafe(self, block);
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Every file of `src/`: its path below it, its text, and what it does.
fn house() -> BTreeMap<String, (String, Findings)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let name = path
            .strip_prefix(&root)
            .expect("below src")
            .to_string_lossy()
            .into_owned();
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut findings = Findings::default();
        findings.visit_file(&syntax);
        (name, (text, findings))
    };
    files.into_iter().map(read).collect()
}

/// A file of nothing but tests, included by `#[cfg(test)] mod tests;`.
fn is_test_file(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

fn layer(name: &str) -> &str {
    name.split('/')
        .next()
        .expect("split gives one part at least")
}

fn fail_if_any(complaints: &str) {
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn layers_import_only_what_they_may() {
    let mut complaints = String::new();
    for (name, (_, findings)) in house() {
        if is_test_file(&name) || name == "lib.rs" || name == "main.rs" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(other, _)| *other == layer(&name)) else {
            let _ = writeln!(complaints, "src/{name}: no layer of the table");
            continue;
        };
        for (path, line) in &findings.paths {
            let Some(rest) = path.strip_prefix("crate::") else {
                continue;
            };
            let other = rest
                .split("::")
                .next()
                .expect("split gives one part at least");
            if other != layer(&name) && !allowed.contains(&other) {
                let _ = writeln!(
                    complaints,
                    "src/{name}:{line}: {} may not import {other}",
                    layer(&name)
                );
            }
        }
    }
    fail_if_any(&complaints);
}

#[test]
fn functions_and_files_fit_the_eye() {
    let mut complaints = String::new();
    for (name, (text, findings)) in house() {
        if is_test_file(&name) {
            continue;
        }
        let lines = text.lines().count() - findings.test_lines;
        if lines > FILE_LINES_MAX {
            let _ = writeln!(
                complaints,
                "src/{name}: {lines} lines, at most {FILE_LINES_MAX}"
            );
        }
        for (function, line, length) in &findings.functions {
            if *length > FUNCTION_LINES_MAX {
                let _ = writeln!(
                    complaints,
                    "src/{name}:{line}: {function}: {length} lines, at most {FUNCTION_LINES_MAX}"
                );
            }
        }
    }
    fail_if_any(&complaints);
}

#[test]
fn only_the_runtime_touches_the_world() {
    let mut complaints = String::new();
    for (name, (_, findings)) in house() {
        if is_test_file(&name) || ["runtime", "cli", "main.rs"].contains(&layer(&name)) {
            continue;
        }
        for (path, line) in &findings.paths {
            let whole = format!("::{path}::");
            if let Some(banned) = BANNED
                .iter()
                .find(|banned| whole.contains(&format!("::{banned}::")))
            {
                let _ = writeln!(
                    complaints,
                    "src/{name}:{line}: {banned} is for runtime and cli only"
                );
            }
        }
    }
    fail_if_any(&complaints);
}

#[test]
fn unsafe_stands_where_it_must_and_says_why_it_is_sound() {
    let mut complaints = String::new();
    for (name, (text, findings)) in house() {
        let lines: Vec<&str> = text.lines().collect();
        for line in &findings.unsafe_lines {
            if !MAY_BE_UNSAFE.iter().any(|place| name.starts_with(place)) {
                let _ = writeln!(
                    complaints,
                    "src/{name}:{line}: unsafe outside {MAY_BE_UNSAFE:?}"
                );
            }
            // The comment stands above the statement that the block is in, which may have begun some lines before.
            let above = &lines[line.saturating_sub(8)..*line];
            if !above.iter().any(|text| text.contains("SAFETY:")) {
                let _ = writeln!(
                    complaints,
                    "src/{name}:{line}: unsafe without a SAFETY comment"
                );
            }
        }
    }
    fail_if_any(&complaints);
}

#[test]
fn nothing_is_left_for_later_in_silence() {
    let mut complaints = String::new();
    let words = [
        "todo!(",
        "unimplemented!(",
        "#[ignore",
        "allow(dead_code",
        "allow(unused",
        "FIXME",
        "dbg!(",
    ];
    for (name, (text, _)) in house() {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                let _ = writeln!(complaints, "src/{name}:{}: {word}", number + 1);
            }
        }
    }
    fail_if_any(&complaints);
}
