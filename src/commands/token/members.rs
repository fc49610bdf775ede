//! A JSON object's members in the order in which they were sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroizing;

/// Names and values, in their order.
pub(super) struct Members(pub(super) Vec<(String, Value)>);

impl Members {
    /// The header (0) or the claims (1) of a JWT in compact form; none when it is no JWT.
    pub(super) fn of(jwt: &[u8], part: usize) -> Option<Self> {
        let parts: Vec<&[u8]> = jwt.split(|byte| *byte == b'.').collect();
        let encoded = parts.get(part).filter(|_| parts.len() == 3)?;
        serde_json::from_slice(&Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?)).ok()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
