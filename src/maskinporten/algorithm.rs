//! What a grant is signed with.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A signature algorithm that Maskinporten takes
/// ([maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, the usual one.
    #[default]
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
}

/// Not RS256, RS384 or RS512.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not an algorithm that Maskinporten takes: RS256, RS384 or RS512")]
pub struct UnknownAlgorithm(String);

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Rs384, Self::Rs512];

    /// As the grant's `alg` has it (RFC 7518 section 3.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}
