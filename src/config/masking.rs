//! What looks like a secret in the operator's file, found in its text.
//!
//! A secret is never in the file; but people paste one, and then the mistake that says so shows the line. The text is searched, not
//! the parsed document, because a broken file (a PEM between single quotes, a quote forgotten) has no document to search.

use std::ops::Range;

const PEM_BEGINS: &str = "-----BEGIN";
const PEM_ENDS: &str = "-----END";
const API_KEY_BEGINS: &str = "pv_";
/// Shorter ones are words, as in a text about keys.
const SHORTEST_API_KEY: usize = 8;
const SHA256_HEX_DIGITS: usize = 64;

/// Parts of names whose value is a secret. Compared in lower case without `_` and `-`.
const SECRET_NAMES: [&str; 10] = ["password", "passwd", "passphrase", "secret", "privatekey", "pkcs12", "p12", "pfx", "apikey", "jwk"];

/// Whether a key of this name would hold a secret itself, and not the name of a file that holds one.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(|character| !matches!(character, '_' | '-')).collect::<String>().to_lowercase();
    !name.ends_with("file") && SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Where keys and certificates in PEM stand in the text, other than in a comment's line.
pub(super) fn pem_blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(start) = find(text, PEM_BEGINS, from) {
        let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |index| index + 1);
        if text.get(line_start..start).is_some_and(|before| before.trim_start().starts_with('#')) {
            from = start + PEM_BEGINS.len();
            continue;
        }
        let end = end_of_pem(text, start);
        blocks.push(start..end);
        from = end;
    }
    blocks
}

/// After the dashes that close it; without them, the text's end, for nobody knows how far the key goes.
fn end_of_pem(text: &str, start: usize) -> usize {
    let Some(last_line) = find(text, PEM_ENDS, start) else { return text.len() };
    let label = last_line + PEM_ENDS.len();
    let line_end = find(text, "\n", label).unwrap_or(text.len());
    find(text, "-----", label).map_or(line_end, |dashes| dashes + "-----".len()).min(line_end)
}

/// `text` with every character of `secrets`, and of all that looks like a secret, replaced by `*`; line breaks, and the length
/// in bytes, stay.
pub(super) fn masked(text: &str, secrets: &[Range<usize>]) -> String {
    let mut ranges = secrets.to_vec();
    ranges.extend(secret_values(text));
    ranges.extend(pasted_api_keys(text));
    ranges.extend(anywhere(text));
    overwrite(text, &ranges)
}

/// The same for a sentence of ours that quotes the file.
pub(super) fn masked_text(text: &str) -> String {
    overwrite(text, &anywhere(text))
}

/// Secrets that are known by their own look, wherever they stand.
fn anywhere(text: &str) -> Vec<Range<usize>> {
    let mut ranges = pem_blocks(text);
    ranges.extend(api_keys(text));
    ranges.extend(url_credentials(text));
    ranges
}

fn api_keys(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices(API_KEY_BEGINS).map(|(index, _)| index);
    let keys = starts.filter_map(|start| {
        let rest = text.get(start + API_KEY_BEGINS.len()..)?;
        let length = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
        (length >= SHORTEST_API_KEY).then(|| start + API_KEY_BEGINS.len()..start + API_KEY_BEGINS.len() + length)
    });
    keys.collect()
}

/// `user:password` of `http://user:password@host`.
fn url_credentials(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("://").map(|(index, found)| index + found.len());
    let credentials = starts.filter_map(|start| {
        let authority = text.get(start..)?;
        let length = authority.find(['"', '\'', '\n', ' ', ',', '`']).unwrap_or(authority.len());
        let at = authority.get(..length)?.rfind('@')?;
        Some(start..start + at)
    });
    credentials.collect()
}

/// The values of `name = value` where the name says that the value is a secret, and of `sha256` when the value is no digest:
/// then it is most likely the API key itself. Of `key` too, when it is a text and not a table.
fn secret_values(text: &str) -> Vec<Range<usize>> {
    let assignments = text.match_indices('=').map(|(index, _)| index);
    let values = assignments.filter_map(|equals| {
        let name = name_before(text.get(..equals)?);
        if !(is_secret_name(name) || matches!(name, "sha256" | "key")) {
            return None;
        }
        let rest = text.get(equals + 1..)?;
        let start = equals + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        let value = literal(text, start);
        let shown = text.get(value.clone())?;
        let secret = match name {
            "sha256" => !is_quoted_digest(shown),
            "key" => shown.starts_with(['"', '\'']),
            _ => true,
        };
        secret.then_some(value)
    });
    values.filter(|value| !value.is_empty()).collect()
}

/// Texts right in a list `keys = […]`, where tables with digests belong: most likely the API keys themselves.
fn pasted_api_keys(text: &str) -> Vec<Range<usize>> {
    let lists = text.match_indices('[').map(|(index, _)| index);
    let lists = lists.filter(|start| {
        let before = text.get(..*start).map(str::trim_end).and_then(|before| before.strip_suffix('='));
        before.is_some_and(|before| name_before(before) == "keys")
    });
    lists.flat_map(|start| texts_of_list(text, start + 1)).collect()
}

/// The texts of a list that are not inside a table; an unclosed list ends where the next key's value begins.
fn texts_of_list(text: &str, start: usize) -> Vec<Range<usize>> {
    let mut texts = Vec::new();
    let mut depth = 0_usize;
    let mut from = start;
    while let Some(character) = text.get(from..).and_then(|rest| rest.chars().next()) {
        match character {
            ']' | '=' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '"' | '\'' => {
                let range = literal(text, from);
                from = range.end;
                if depth == 0 {
                    texts.push(range);
                }
                continue;
            }
            _ => {}
        }
        from += character.len_utf8();
    }
    texts
}

fn is_quoted_digest(literal: &str) -> bool {
    let inner = literal.trim_matches(['"', '\'']);
    inner.len() == SHA256_HEX_DIGITS && inner.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t', '"', '\'']);
    let start = text.rfind(|character: char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-')));
    let after = start.and_then(|index| text.get(index..)).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    text.get(start.unwrap_or_default() + after..).unwrap_or_default()
}

/// A value from `start` on, as TOML delimits it; an unclosed one goes to the end of its line (of the text, when it may span lines).
fn literal(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    for quote in ["\"\"\"", "'''"] {
        if rest.starts_with(quote) {
            let end = find(text, quote, start + quote.len()).map_or(text.len(), |index| index + quote.len());
            return start..end;
        }
    }
    let line_end = rest.find(['\n', '\r']).map_or(text.len(), |length| start + length);
    let line = text.get(start..line_end).unwrap_or_default();
    let length = match line.chars().next() {
        Some('"') => closing_quote(line),
        Some('\'') => line.get(1..).and_then(|inner| inner.find('\'')).map(|index| index + 2),
        Some('{' | '[') | None => Some(0),
        Some(_) => line.find([',', '}', ']', '#']),
    };
    start..length.map_or(line_end, |length| start + length)
}

/// The length of a basic string with both quotes, its escaped quotes passed over.
fn closing_quote(line: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in line.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn find(text: &str, wanted: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find(wanted).map(|index| from + index)
}

fn overwrite(text: &str, ranges: &[Range<usize>]) -> String {
    if ranges.is_empty() {
        return text.to_owned();
    }
    let mut masked = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        let secret = !matches!(character, '\n' | '\r') && ranges.iter().any(|range| range.contains(&index));
        if secret {
            masked.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            masked.push(character);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("a = \"pv_0123456789abcdef\"", "a = \"pv_****************\"")]
    #[case("password = \"hunter2\" # x", "password = ********* # x")]
    #[case("key = { password = 'hunter2', kid = 'a' }", "key = { password = *********, kid = 'a' }")]
    #[case("key = { password = \"hu\\\"ter2\", kid = 'a' }", "key = { password = **********, kid = 'a' }")]
    #[case("password = \"hunter2", "password = ********")]
    #[case("password = hunter2, a = 1", "password = *******, a = 1")]
    #[case("password = \"\"\"hun\nter2\"\"\"\na = 1", "password = ******\n*******\na = 1")]
    #[case("\"pass-word\" = 'hunter2'", "\"pass-word\" = *********")]
    #[case("clientSecret='hunter2'", "clientSecret=*********")]
    #[case("password_file = \"a.pw\"", "password_file = \"a.pw\"")]
    #[case("max_tokens = 5", "max_tokens = 5")]
    #[case("sha256 = \"hunter2\"", "sha256 = *********")]
    #[case("proxy = \"http://me:hunter2@proxy:3128\"", "proxy = \"http://**********@proxy:3128\"")]
    #[case("issuer = \"https://a/\" # a@b", "issuer = \"https://a/\" # a@b")]
    #[case("k = '-----BEGIN X-----\nMIIE\n-----END X-----'\nb = 1", "k = '*****************\n****\n***************'\nb = 1")]
    #[case("keys = [\"hunter2\", { file = \"a\" }, 'b']", "keys = [*********, { file = \"a\" }, ***]")]
    #[case("keys = [\n  \"hunter2\",\nmay = \"b\"", "keys = [\n  *********,\nmay = \"b\"")]
    #[case("key = 'hunter2'", "key = *********")]
    #[case("k = '-----BEGIN X-----\nMIIE", "k = '*****************\n****")]
    #[case("# no -----BEGIN here\nb = 1", "# no -----BEGIN here\nb = 1")]
    fn what_looks_like_a_secret_is_masked(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(masked(text, &[]), expected);
    }

    #[test]
    fn a_digest_is_shown() {
        let text = format!("{{ sha256 = \"{}\" }}", "0a".repeat(32));
        assert_eq!(masked(&text, &[]), text);
    }

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in any::<String>(), start in 0_usize..40, length in 0_usize..40) {
            let shown = masked(&text, std::slice::from_ref(&(start..start + length)));
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn text_with_the_signs_of_secrets_makes_nothing_panic(text in "(keys? = \\[|\\{|\\}|\\]|-----BEGIN|-----END|-----|pv_[a-z0-9]{8}|://|@|=|password|sha256|\"|'|\"\"\"|\n|#|ø| |\\\\){0,30}") {
            prop_assert_eq!(masked(&text, &[]).len(), text.len());
        }
    }
}
