//! Values that were sent and yet are none: what a gateway sends for a property that nobody has set.

use std::fmt;

/// Why a value that was looked for is not there. Ordered by how much it tells of the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Absence {
    /// No such header, no such parameter.
    NotSent,
    /// Sent, but empty.
    Empty,
    /// The word `null`.
    Null,
    /// An expression that the gateway did not evaluate: what it names is not set.
    Unevaluated,
}

impl Absence {
    /// None when it is a value.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        if value.is_empty() {
            Some(Self::Empty)
        } else if value == b"null" {
            Some(Self::Null)
        } else if value.contains(&b'{') && value.windows(2).any(|pair| pair == b"{#") {
            Some(Self::Unevaluated)
        } else {
            None
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "was not sent",
            Self::Empty => "arrived empty",
            Self::Null => "arrived as the word null",
            Self::Unevaluated => "arrived as an expression that the gateway did not evaluate",
        })
    }
}
