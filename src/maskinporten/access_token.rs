//! What an exchange brings.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::scope::Scopes;

/// An access token, and what Maskinporten said about it.
///
/// Its memory is zeroed when it is dropped. `Debug` does not print the token.
pub struct AccessToken {
    secret: Zeroizing<Box<[u8]>>,
    expires_in: Option<Duration>,
    scope: Option<Scopes>,
}

impl AccessToken {
    pub(super) fn new(secret: Zeroizing<Box<[u8]>>, expires_in: Option<Duration>, scope: Option<Scopes>) -> Self {
        Self { secret, expires_in, scope }
    }

    /// The token itself: opaque, in the characters of [RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1),
    /// so that it needs no escaping in JSON or in a header. Do not log it.
    pub fn expose_secret(&self) -> &[u8] {
        &self.secret
    }

    /// How long it lives from when Maskinporten issued it, in whole seconds, at least one. `None`: nobody knows, so it must not be kept.
    /// A lifetime beyond 24 h is not believed and given as 2 h.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// The scopes that Maskinporten says it has given.
    pub fn scope(&self) -> Option<&Scopes> {
        self.scope.as_ref()
    }

    /// The token and its scopes, for who keeps many and minds their size.
    pub fn into_parts(self) -> (Zeroizing<Box<[u8]>>, Option<Scopes>) {
        (self.secret, self.scope)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_in", &self.expires_in).field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_print_the_token() {
        let token = AccessToken::new(Zeroizing::new(b"very-secret".as_slice().into()), Some(Duration::from_secs(119)), None);
        assert_eq!(token.expose_secret(), b"very-secret");
        let text = format!("{token:?}");
        assert!(!text.contains("secret") && text.contains("119"), "{text}");
    }
}
