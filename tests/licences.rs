//! Every crate that the gateway is built from has a licence that lets a company use it, and none is yanked into the
//! lock file from anywhere but the registry.

use std::process::Command;

/// Licences that ask for no more than a notice. An `OR` needs one of these, an `AND` all.
const ALLOWED: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
];

fn is_allowed(licence: &str) -> bool {
    let plain = licence.replace(['(', ')'], " ").replace('/', " OR ");
    plain
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|one| ALLOWED.contains(&one.trim())))
}

/// Crates that name no licence in their manifest but have its text beside it.
fn by_file(name: &str) -> &'static str {
    match name {
        // The differential oracle of the tests; its LICENSE file is the MIT licence.
        "rsip" | "rsip-derives" => "MIT",
        _ => "none",
    }
}

#[test]
fn every_dependency_has_an_allowed_licence_and_comes_from_the_registry() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50, "the list is whole");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or_else(|| by_file(name));
        assert!(is_allowed(licence), "{name}: licence {licence}");
        let is_ours = name.starts_with("ringway");
        assert!(
            is_ours
                || package["source"]
                    .as_str()
                    .is_some_and(|s| s.starts_with("registry+")),
            "{name}: its source"
        );
    }
}

#[test]
fn the_rule_itself_refuses_what_it_should() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("GPL-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("none"));
}
