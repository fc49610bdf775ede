//! The API key on a request to `/token`.

use super::absence::Absence;
use super::error::Problem;
use super::head::{Field, Head};

/// A longer key is nobody's.
const API_KEY_LIMIT: usize = 256;

/// The one API key of a request: from `X-Gravitee-Api-Key`, `X-API-Key` or `Authorization: Bearer …`.
///
/// # Errors
///
/// [`Problem`] when there is none, or when two differ.
pub(super) fn api_key<'a>(head: &Head<'a>) -> Result<&'a [u8], Problem> {
    let mut found: Option<&'a [u8]> = None;
    let mut absence = Absence::NotSent;
    for (field, value) in head.known() {
        let value = match field {
            Field::ApiKey => Some(value.as_bytes()),
            Field::Authorization => bearer(value.as_bytes()),
            _ => None,
        };
        let Some(value) = value.map(<[u8]>::trim_ascii) else { continue };
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
