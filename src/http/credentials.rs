//! The API key on a request to `/token`.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::absence::Absence;
use super::error::Problem;

/// A longer key is nobody's.
const API_KEY_LIMIT: usize = 256;

/// The one API key of a request: from `X-Gravitee-Api-Key`, `X-API-Key` or `Authorization: Bearer …`.
///
/// # Errors
///
/// [`Problem`] when there is none, or when two differ.
pub(super) fn api_key(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut found: Option<&[u8]> = None;
    let mut absence = Absence::NotSent;
    for (name, value) in headers {
        let value = match name.as_str() {
            "x-gravitee-api-key" | "x-api-key" => value.as_bytes(),
            _ if name == AUTHORIZATION => match bearer(value.as_bytes()) {
                Some(value) => value,
                None => continue,
            },
            _ => continue,
        };
        let value = value.trim_ascii();
        if let Some(how) = Absence::of(value) {
            absence = absence.max(how);
            continue;
        }
        match found {
            Some(other) if other != value => return Err(Problem::ApiKeysDiffer),
            _ => found = Some(value),
        }
    }
    let key = found.ok_or(Problem::NoApiKey(absence))?;
    if key.len() > API_KEY_LIMIT { Err(Problem::UnknownApiKey) } else { Ok(key) }
}

/// What follows `Bearer `, whose case has no meaning (RFC 9110 section 11.1). None for another scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked("bearer".len())?;
    (scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_none_or(u8::is_ascii_whitespace)).then_some(rest)
}
