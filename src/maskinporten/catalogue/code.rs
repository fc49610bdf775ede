//! Maskinporten's codes.

use std::fmt;

use super::KnownError;

/// A code of Maskinporten's, such as `MP-121`: the last part of an error's `error_uri`.
///
/// A code that the catalogue does not have is a code all the same.
///
/// ```
/// use portvakt::maskinporten::Code;
/// let code = Code::from_error_uri("https://maskinporten.no/errors/MP-121").unwrap();
/// assert_eq!(code.as_str(), "MP-121");
/// assert_eq!(code.known().unwrap().meaning, "The registered key has expired: a key lives one year from the day it was posted.");
/// assert!(Code::from_error_uri("https://maskinporten.no/errors/MP-999").unwrap().known().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(Box<str>);

impl Code {
    /// `MP-` and three to five digits at the end of the path, or nothing.
    pub fn from_error_uri(error_uri: &str) -> Option<Self> {
        let path = error_uri.split(['?', '#']).next()?;
        let last = path.trim_end_matches('/').rsplit('/').next()?;
        let digits = last.strip_prefix("MP-")?;
        let is_code = (3..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| Self(last.into()))
    }

    /// As Maskinporten writes it: `MP-121`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the catalogue knows of it.
    pub fn known(&self) -> Option<&'static KnownError> {
        KnownError::all().find(|known| known.code == Some(self.as_str()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://maskinporten.no/errors/MP-121", Some("MP-121"))]
    #[case("https://test.maskinporten.no/errors/MP-200/", Some("MP-200"))]
    #[case("https://maskinporten.no/errors/MP-100?lang=no#top", Some("MP-100"))]
    #[case("MP-999", Some("MP-999"))]
    #[case("https://maskinporten.no/errors/MP-1001", Some("MP-1001"))]
    #[case("https://maskinporten.no/errors/MP-12", None)]
    #[case("https://maskinporten.no/errors/MP-12a", None)]
    #[case("https://maskinporten.no/errors/mp-121", None)]
    #[case("https://maskinporten.no/errors/MP-121/more", None)]
    #[case("https://maskinporten.no/errors/", None)]
    #[case("", None)]
    fn the_code_is_the_last_part_of_the_path(#[case] error_uri: &str, #[case] expected: Option<&str>) {
        assert_eq!(Code::from_error_uri(error_uri).as_ref().map(Code::as_str), expected);
    }

    #[test]
    fn every_documented_code_has_its_entry() {
        let documented = "011 012 100 110 120 121 122 123 124 130 200 201 250 251 301 302 303";
        let mut codes: Vec<&str> = KnownError::all().filter_map(|known| known.code).collect();
        codes.dedup(); // what MP-124 means depends on the key
        assert_eq!(codes, documented.split(' ').map(|digits| format!("MP-{digits}")).collect::<Vec<_>>());
        for code in codes {
            assert_eq!(Code(code.into()).known().unwrap().code, Some(code));
        }
    }
}
