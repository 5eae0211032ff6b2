//! `${env:NAME}` and `${file:PATH}` in strings: how secrets stay out of the file.

/// Where the values of `${env:…}` and `${file:…}` come from.
pub trait Lookup {
    /// The environment variable of that name, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The first line of the file, without its line end. A path that is not absolute starts from the directory of
    /// the configuration file.
    ///
    /// # Errors
    /// Why the file cannot be read, for the user. It must not tell anything of what the file holds.
    fn file_first_line(&self, path: &str) -> Result<String, String>;
}

/// Has no environment and no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn file_first_line(&self, _path: &str) -> Result<String, String> {
        Err(String::from("no files here"))
    }
}

/// Replaces what `${env:…}` and `${file:…}` name. Everything else, `${EXTEN}` for one, belongs to the dialplan and
/// stays. What is put in is not looked at again.
///
/// # Errors
/// What is missing; never a value.
pub(super) fn expand(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        expanded.push_str(before);
        let inner = &reference[2..];
        let Some((kind, after)) = ["env:", "file:"]
            .into_iter()
            .find_map(|kind| Some((kind, inner.strip_prefix(kind)?)))
        else {
            expanded.push_str("${");
            rest = inner;
            continue;
        };
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`${{{kind}` has no closing `}}`"));
        };
        let value = if kind == "env:" {
            lookup
                .env(name)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?
        } else {
            lookup
                .file_first_line(name)
                .map_err(|why| format!("the file {name} cannot be read: {why}"))?
        };
        expanded.push_str(&value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stub;

    impl Lookup for Stub {
        fn env(&self, name: &str) -> Option<String> {
            (name == "HOST").then(|| String::from("a${env:HOST}"))
        }

        fn file_first_line(&self, path: &str) -> Result<String, String> {
            match path {
                "key" => Ok(String::from("s3cret")),
                _ => Err(String::from("not found")),
            }
        }
    }

    #[test]
    fn references_are_replaced_once_and_dialplan_variables_stay() {
        let expanded = expand("x${env:HOST}-${file:key}-${EXTEN:3}${", &Stub);
        assert_eq!(expanded.as_deref(), Ok("xa${env:HOST}-s3cret-${EXTEN:3}${"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            expand("${env:NO}", &Stub).unwrap_err(),
            "the environment variable NO is not set"
        );
        assert_eq!(
            expand("${file:no}", &Stub).unwrap_err(),
            "the file no cannot be read: not found"
        );
        assert_eq!(
            expand("${env:HOST", &Stub).unwrap_err(),
            "`${env:` has no closing `}`"
        );
    }
}
