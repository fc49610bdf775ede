//! Scopes: what a token is for.

use std::fmt;

use thiserror::Error;

/// One scope or several, in a form where order and repetition have no meaning.
///
/// Two values are equal exactly when they ask for the same set of scopes. [RFC 6749 section
/// 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
///
/// ```
/// use portvakt::maskinporten::Scopes;
/// let scopes = Scopes::parse("b:write  a:read b:write").unwrap();
/// assert_eq!(scopes.as_str(), "a:read b:write");
/// assert_eq!(scopes, Scopes::parse("a:read b:write").unwrap());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scopes(Box<str>);

/// Why a text names no scope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidScope {
    /// Nothing but spaces.
    #[error("no scope is named")]
    Empty,
    /// A character that RFC 6749 section 3.3 does not allow. The position counts characters from 1.
    #[error(
        "a scope has printable ASCII characters other than the double quote and the backslash (RFC 6749 section 3.3), which the character at position {position} is not"
    )]
    Character {
        /// Where it stands in the text, counted in characters from 1.
        position: usize,
    },
}

impl Scopes {
    /// Splits at spaces, drops repetitions, sorts.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when there is none, or when a character is not one of RFC 6749 section 3.3.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        // By bytes: every byte of a character beyond ASCII is refused like the character.
        if !text.bytes().all(|byte| byte == b' ' || is_scope_character(byte)) {
            let is_allowed = |character: char| u8::try_from(character).is_ok_and(|byte| byte == b' ' || is_scope_character(byte));
            let position = text.chars().position(|character| !is_allowed(character)).map_or(1, |index| index + 1);
            return Err(InvalidScope::Character { position });
        }
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Err(InvalidScope::Empty);
        }
        if !trimmed.as_bytes().contains(&b' ') {
            return Ok(Self(trimmed.into())); // as nearly every request has it
        }
        let mut scopes: Vec<&str> = trimmed.split(' ').filter(|scope| !scope.is_empty()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes.join(" ").into()))
    }

    /// The scopes as a grant has them: sorted, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each scope once, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `scope-token` of RFC 6749 section 3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_scope_character(character: u8) -> bool {
    matches!(character, b'\x21' | b'\x23'..=b'\x5B' | b'\x5D'..=b'\x7E')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_scope_is_named_with_its_place() {
        assert_eq!(Scopes::parse("   "), Err(InvalidScope::Empty));
        assert_eq!(Scopes::parse("a:b\tc:d"), Err(InvalidScope::Character { position: 4 }));
        assert_eq!(Scopes::parse("ø"), Err(InvalidScope::Character { position: 1 }));
        assert_eq!(Scopes::parse("a\"b"), Err(InvalidScope::Character { position: 2 }));
    }

    proptest! {
        #[test]
        fn order_repetition_and_spaces_have_no_meaning(
            mut scopes in prop::collection::vec("[!#-\\[\\]-~]{1,12}", 1..8),
            spaces in prop::collection::vec(" {1,3}", 16),
            seed in any::<u64>(),
        ) {
            let plain = Scopes::parse(&scopes.join(" ")).unwrap();
            let repeated = scopes[usize::try_from(seed % 7).unwrap() % scopes.len()].clone();
            scopes.push(repeated);
            let turn = usize::try_from(seed % 5).unwrap() % scopes.len();
            scopes.rotate_left(turn);
            let mut text = String::new();
            for (scope, space) in scopes.iter().zip(&spaces) {
                text.push_str(space);
                text.push_str(scope);
            }
            let other = Scopes::parse(&text).unwrap();
            prop_assert_eq!(&plain, &other);
            prop_assert_eq!(Scopes::parse(plain.as_str()).unwrap(), plain);
        }

        #[test]
        fn different_sets_differ(left in "[a-c]( [a-c]){0,3}", right in "[a-c]( [a-c]){0,3}") {
            let set = |text: &str| text.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
            let same = set(&left) == set(&right);
            prop_assert_eq!(Scopes::parse(&left) == Scopes::parse(&right), same);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Scopes::parse(&text);
        }
    }
}
