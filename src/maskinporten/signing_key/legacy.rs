//! OpenSSL's legacy provider: RC2 and DES, which the PKCS#12 files of earlier years are encrypted with.

use std::sync::OnceLock;

use openssl::error::ErrorStack;
use openssl::provider::Provider;

use super::error::{KeyError, reasons};

/// Kept loaded once it has been needed: a file that needed it will be read again.
static LEGACY: OnceLock<Provider> = OnceLock::new();

/// Runs `open`; when OpenSSL misses an algorithm, loads the legacy provider and runs it again.
///
/// # Errors
///
/// The legacy provider is missing, or does not know the algorithm either; the inner error is that of `open` for any
/// other reason.
pub(super) fn with_legacy_if_needed<T>(open: impl Fn() -> Result<T, ErrorStack>) -> Result<Result<T, ErrorStack>, KeyError> {
    match open() {
        Err(error) if is_unsupported(&error) => {}
        result => return Ok(result),
    }
    load()?;
    match open() {
        Err(error) if is_unsupported(&error) => Err(KeyError::UnsupportedEncryption { reason: reasons(&error) }),
        result => Ok(result),
    }
}

fn load() -> Result<(), KeyError> {
    if LEGACY.get().is_none() {
        // `true`: without it, loading one provider turns off the default one.
        let provider =
            Provider::try_load(None, "legacy", true).map_err(|error| KeyError::LegacyProviderMissing { reason: reasons(&error) })?;
        let _ = LEGACY.set(provider); // another thread may have been first
    }
    Ok(())
}

/// The decoder's "unsupported" is left out: it says so of everything that it cannot make sense of, wrong passwords included.
fn is_unsupported(error: &ErrorStack) -> bool {
    let unsupported = [
        "unsupported",
        "unsupported algorithm",
        "unsupported cipher",
        "unknown cipher",
        "unknown pbe algorithm",
        "unknown digest algorithm",
    ];
    let errors = error.errors().iter().filter(|error| error.library() != Some("DECODER routines"));
    errors.filter_map(openssl::error::Error::reason).any(|reason| unsupported.contains(&reason))
}
