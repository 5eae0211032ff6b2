//! "did you mean …?"

/// The candidate most like what was written, if one is near enough to be a slip of the finger.
pub(super) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    // Comparing takes the product of the lengths; nobody's slip is this long.
    const LENGTH_MAX: usize = 64;
    if written.len() > LENGTH_MAX {
        return None;
    }
    let folded = written.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_ascii_lowercase().replace('-', "_");
            let likeness = strsim::normalized_damerau_levenshtein(&folded, &other);
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        // Of equals the first.
        .min_by(|(a, _), (b, _)| b.total_cmp(a))
        .map(|(_, candidate)| candidate)
}

/// `did you mean "x"? ` for the nearest, or nothing.
pub(super) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(written, candidates).map_or_else(String::new, |name| format!("did you mean {name:?}? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_misses_are_offered() {
        let keys = ["rtp_symmetric", "allow", "user_agent"];
        assert_eq!(nearest("rtp-symetric", keys), Some("rtp_symmetric"));
        assert_eq!(nearest("alow", keys), Some("allow"));
        assert_eq!(nearest("user-agent", keys), Some("user_agent"));
        assert_eq!(nearest("qualify", keys), None);
        assert_eq!(nearest(&"a".repeat(1000), keys), None);
    }
}
