//! For the codecs' tests: the ITU-T's test sequences and Debian's prompts, where they are at hand, and digests of outputs,
//! which are always.

/// The 16-bit words of a file of the ITU-T's test sequences (those of G.191), in the folder that `RINGWAY_VECTORS` names.
/// They are no part of the project: without them this says so on standard error, and the test has nothing to do.
pub fn words(file: &str) -> Option<Vec<i16>> {
    let Ok(folder) = std::env::var("RINGWAY_VECTORS") else {
        eprintln!("skipped: {file}: RINGWAY_VECTORS names no folder of ITU-T test sequences");
        return None;
    };
    let path = std::path::Path::new(&folder).join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words = bytes
        .chunks_exact(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]));
    Some(words.collect())
}

/// The lower octets of such words, as code words are kept.
pub fn octets(file: &str) -> Option<Vec<u8>> {
    words(file).map(|words| words.iter().map(|&word| word as u8).collect())
}

/// A digest (FNV-1a, 64 bits) of octets.
pub fn digest(octets: impl IntoIterator<Item = u8>) -> u64 {
    octets
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// A digest of samples.
pub fn digest_of_samples(samples: &[i16]) -> u64 {
    digest(samples.iter().flat_map(|sample| sample.to_le_bytes()))
}

/// The prompts of Debian's `asterisk-core-sounds-en-*` with that ending, in all folders; none, with a word, where the
/// packages are not installed.
pub fn prompts(ending: &str) -> Vec<std::path::PathBuf> {
    let mut folders = vec![std::path::PathBuf::from("/usr/share/asterisk/sounds/en/")];
    let mut prompts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|other| other == ending) {
                prompts.push(path);
            }
        }
    }
    if prompts.is_empty() {
        eprintln!("asterisk-core-sounds-en-{ending} is not installed: no prompts to try");
    }
    prompts
}
