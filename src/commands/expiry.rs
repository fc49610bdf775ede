//! Certificates and API keys that end soon: said at the start, and once a day.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::banner;
use crate::config::Config;
use crate::maskinporten::Client;

/// How often it is looked whether a day has passed. Less than a day, for a machine may sleep.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
const SAID_EVERY: SignedDuration = SignedDuration::from_hours(24);

const DAY: i64 = 24 * 60 * 60;

/// All that ends on a day that is known.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    all: Vec<Expiry>,
    said: Option<Timestamp>,
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expiry {
    what: What,
    /// The first moment at which it is of no use any more, or the last one at which it is.
    at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Certificate {
        integration: String,
    },
    /// `key`: the beginning of its SHA-256.
    ApiKey {
        caller: String,
        key: String,
    },
}

/// How close an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Expired,
    Within(i64),
}

impl Closeness {
    /// None when it is more than 90 days away.
    fn of(at: Timestamp, now: Timestamp) -> Option<Self> {
        if at <= now {
            return Some(Self::Expired);
        }
        let left = at.as_second() - now.as_second();
        [7, 30, 90].into_iter().find(|days| left <= days * DAY).map(Self::Within)
    }

    fn is_urgent(self) -> bool {
        self <= Self::Within(30)
    }
}

impl Expiries {
    /// The integrations' certificates and the callers' API keys. `clients`: in the order of the file's integrations.
    pub(super) fn of(config: &Config, clients: &[Client]) -> Self {
        let certificates = config.integrations.iter().zip(clients).filter_map(|(integration, client)| {
            let at = client.key().certificate().and_then(banner::expires)?;
            Some(Expiry { what: What::Certificate { integration: integration.name.clone() }, at })
        });
        let api_keys = config.callers.iter().flat_map(|caller| caller.keys.iter().map(move |key| (caller, key)));
        let api_keys = api_keys.filter_map(|(caller, key)| {
            Some(Expiry { what: What::ApiKey { caller: caller.name.clone(), key: banner::api_key(&key.sha256) }, at: key.expires? })
        });
        Self { all: certificates.chain(api_keys).collect(), said: None }
    }

    /// Goes by these from now on. Nothing is said again where they are the same.
    pub(super) fn renew(&mut self, renewed: Self, now: Timestamp) {
        if self.all != renewed.all {
            *self = renewed;
            self.say(now);
        }
    }

    /// Says in the log what ends soon, the first time and then once a day.
    pub(super) fn say(&mut self, now: Timestamp) {
        for (expiry, closeness) in self.due(now) {
            expiry.say(closeness, now);
        }
    }

    /// What is to be said now: nothing where less than a day has passed.
    fn due(&mut self, now: Timestamp) -> Vec<(&Expiry, Closeness)> {
        // A clock that was set back must not silence it for as long.
        if self.said.is_some_and(|said| said <= now && now.duration_since(said) < SAID_EVERY) {
            return Vec::new();
        }
        self.said = Some(now);
        self.all.iter().filter_map(|expiry| Some((expiry, Closeness::of(expiry.at, now)?))).collect()
    }
}

impl Expiry {
    fn say(&self, closeness: Closeness, now: Timestamp) {
        let (expires, days_left) = (self.at, (self.at.as_second() - now.as_second()).div_euclid(DAY));
        match (&self.what, closeness) {
            (What::Certificate { integration }, Closeness::Expired) => warn!(
                integration,
                %expires,
                remedy = CERTIFICATE,
                "the certificate is out of its validity, for it has expired: no token until it is renewed"
            ),
            (What::Certificate { integration }, _) if closeness.is_urgent() => {
                warn!(integration, %expires, days_left, remedy = CERTIFICATE, "the certificate expires soon");
            }
            (What::Certificate { integration }, _) => {
                info!(integration, %expires, days_left, remedy = CERTIFICATE, "the certificate expires within 90 days");
            }
            (What::ApiKey { caller, key }, Closeness::Expired) => {
                warn!(caller, key, %expires, remedy = EXPIRED_API_KEY, "an API key has expired: whoever asks with it is refused");
            }
            (What::ApiKey { caller, key }, _) if closeness.is_urgent() => {
                warn!(caller, key, %expires, days_left, remedy = API_KEY, "an API key expires soon");
            }
            (What::ApiKey { caller, key }, _) => {
                info!(caller, key, %expires, days_left, remedy = API_KEY, "an API key expires within 90 days");
            }
        }
    }
}

const CERTIFICATE: &str = "Order a new virksomhetssertifikat from Buypass or Commfides, and put it in the old one's place.";
const API_KEY: &str =
    "Make a new one (portvakt api-key new), add its line beside the old one's, and have the caller use it before that day.";
const EXPIRED_API_KEY: &str = "Take its line out of the file once the caller uses another one (portvakt api-key new).";

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("2026-01-01T12:00:00Z", Some(Closeness::Expired))]
    #[case("2025-06-01T12:00:00Z", Some(Closeness::Expired))]
    #[case("2026-01-01T12:00:01Z", Some(Closeness::Within(7)))]
    #[case("2026-01-08T12:00:00Z", Some(Closeness::Within(7)))]
    #[case("2026-01-08T12:00:01Z", Some(Closeness::Within(30)))]
    #[case("2026-01-31T12:00:00Z", Some(Closeness::Within(30)))]
    #[case("2026-01-31T12:00:01Z", Some(Closeness::Within(90)))]
    #[case("2026-04-01T12:00:00Z", Some(Closeness::Within(90)))]
    #[case("2026-04-01T12:00:01Z", None)]
    fn how_close_an_end_is(#[case] end: &str, #[case] expected: Option<Closeness>) {
        let closeness = Closeness::of(at(end), at("2026-01-01T12:00:00Z"));
        assert_eq!(closeness, expected);
        assert_eq!(closeness.is_some_and(Closeness::is_urgent), closeness.is_some() && expected != Some(Closeness::Within(90)));
    }

    #[test]
    fn it_is_said_at_the_start_and_once_a_day() {
        let expiry = |integration: &str, at| Expiry { what: What::Certificate { integration: integration.to_owned() }, at };
        let all = vec![expiry("soon", at("2026-01-20T00:00:00Z")), expiry("far", at("2026-04-05T00:00:00Z"))];
        let mut expiries = Expiries { all, said: None };
        let table: &[(&str, &[(&str, Closeness)])] = &[
            ("2026-01-01T12:00:00Z", &[("soon", Closeness::Within(30))]),
            ("2026-01-01T13:00:00Z", &[]),
            ("2026-01-02T11:59:59Z", &[]),
            ("2026-01-02T12:00:00Z", &[("soon", Closeness::Within(30))]),
            // The machine slept, and the clock was set back.
            ("2026-01-19T00:00:00Z", &[("soon", Closeness::Within(7)), ("far", Closeness::Within(90))]),
            ("2026-01-18T00:00:00Z", &[("soon", Closeness::Within(7)), ("far", Closeness::Within(90))]),
            ("2026-01-18T23:00:00Z", &[]),
            ("2026-01-20T00:00:00Z", &[("soon", Closeness::Expired), ("far", Closeness::Within(90))]),
            ("2026-01-21T01:00:00Z", &[("soon", Closeness::Expired), ("far", Closeness::Within(90))]),
        ];
        for (now, expected) in table {
            let due = expiries.due(at(now));
            let found: Vec<_> = due
                .into_iter()
                .map(|(expiry, closeness)| match &expiry.what {
                    What::Certificate { integration } => (integration.as_str(), closeness),
                    What::ApiKey { .. } => panic!(),
                })
                .collect();
            assert_eq!(found, *expected, "{now}");
        }
    }
}
