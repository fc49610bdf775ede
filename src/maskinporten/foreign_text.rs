//! Other people's text, made fit to be passed on.

/// The text as an error may carry it: printable ASCII without `"` and `\`, at most `limit` characters, and no secret in it.
///
/// That is what [RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) allows in an `error_description`.
/// Spaces, line breaks and control characters become one space; Norwegian letters become `ae`, `o` and `a`; any other
/// character becomes `?`. Text that is cut ends in `...`.
///
/// What looks like a signed JWT, or like a national identity number (11 digits), is replaced by its name in square brackets: some
/// servers echo what they were sent.
///
/// ```
/// use portvakt::maskinporten::printable;
/// assert_eq!(printable("Ugyldig \"foresp\u{f8}rsel\"\r\n", 80), "Ugyldig 'foresporsel'");
/// assert_eq!(printable("a long explanation", 9), "a long...");
/// assert_eq!(printable("no person 01017012345", 80), "no person [11 digits]");
/// ```
pub fn printable(text: &str, limit: usize) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while !rest.is_empty() && clean.len() <= limit {
        let (word, after) = rest.split_at(rest.find(|character| !is_word_character(character)).unwrap_or(rest.len()));
        clean.push_str(secret_kind(word).unwrap_or(word));
        let mut characters = after.chars();
        if let Some(character) = characters.next() {
            push_clean(&mut clean, character);
        }
        rest = characters.as_str();
    }
    clean.truncate(clean.trim_end().len());
    cut(clean, limit)
}

/// Whether a character is an order and no text: a control character, or one of those that end a line or turn its direction, so that what
/// stands on it reads as something else.
pub(crate) fn is_order(character: char) -> bool {
    let turns = matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
}

const CUT_MARK: &str = "...";

/// `text` is ASCII, so that its bytes are its characters.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(limit.saturating_sub(CUT_MARK.len()));
        text.truncate(text.trim_end().len());
        text.push_str(CUT_MARK.get(..limit.min(CUT_MARK.len())).unwrap_or_default());
    }
    text
}

fn push_clean(clean: &mut String, character: char) {
    match character {
        '"' => clean.push('\''),
        '\\' => clean.push('/'),
        '\x21'..='\x7E' => clean.push(character),
        'æ' => clean.push_str("ae"),
        'Æ' => clean.push_str("AE"),
        'ø' => clean.push('o'),
        'Ø' => clean.push('O'),
        'å' => clean.push('a'),
        'Å' => clean.push('A'),
        _ if character.is_whitespace() || character.is_control() => {
            if !clean.is_empty() && !clean.ends_with(' ') {
                clean.push(' ');
            }
        }
        _ => clean.push('?'),
    }
}

/// The characters of which JWTs and numbers are made.
fn is_word_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_')
}

/// The shortest that can hold a header and a signature; anything that short is no secret.
const SHORTEST_JWT: usize = 32;

fn secret_kind(word: &str) -> Option<&'static str> {
    // Base64url of `{"`, with which every JOSE header begins.
    if word.len() >= SHORTEST_JWT && word.contains("eyJ") {
        return Some("[JWT]");
    }
    let is_national_identity_number = |part: &str| part.len() == 11 && part.bytes().all(|byte| byte.is_ascii_digit());
    word.split(['.', '-', '_']).any(is_national_identity_number).then_some("[11 digits]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("", 10, "")]
    #[case("  a \t\r\n b  ", 10, "a b")]
    #[case("say \"no\" to C:\\", 40, "say 'no' to C:/")]
    #[case("Blåbærgrøt ÆØÅ €", 40, "Blabaergrot AEOA ?")]
    #[case("12345", 5, "12345")]
    #[case("123456", 5, "12...")]
    #[case("1234 56", 6, "123...")]
    #[case("1234", 2, "..")]
    #[case("1234", 0, "")]
    #[case("assertion=eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl&x", 80, "assertion=[JWT]&x")]
    #[case("urn:altinn:person:identifier-no:01017012345", 80, "urn:altinn:person:identifier-no:[11 digits]")]
    #[case("pid 01017012345.", 80, "pid [11 digits]")]
    #[case("0192:991825827 and 123456789012", 80, "0192:991825827 and 123456789012")]
    fn text_becomes(#[case] text: &str, #[case] limit: usize, #[case] expected: &str) {
        assert_eq!(printable(text, limit), expected);
    }

    proptest! {
        #[test]
        fn any_text_becomes_what_rfc_6749_allows(text in any::<String>(), limit in 0_usize..200) {
            let clean = printable(&text, limit);
            prop_assert!(clean.len() <= limit);
            prop_assert!(clean.chars().all(|character| matches!(character, ' '..='~') && character != '"' && character != '\\'));
        }

        #[test]
        fn what_is_clean_stays_as_it_is(text in "[!#-\\[\\]-~]{1,8}( [!#-\\[\\]-~]{1,8}){0,4}") {
            prop_assert_eq!(printable(&text, 80), text);
        }
    }
}
