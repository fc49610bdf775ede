//! The catalogue of failures: what each means, what mends it, who can, and whether it passes by itself. Every text about a failure that
//! an answer, a log line or a command shows comes from here.

use std::fmt;

mod code;
mod on_the_way;
mod refusals;

pub use code::Code;

use super::environment::Environment;

/// What is known of a failure, whoever it strikes.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownError {
    /// Which failure it is.
    pub cause: Cause,
    /// Maskinporten's code. Some of its refusals have none, and are told by their description; what fails below OAuth never has one.
    pub code: Option<&'static str>,
    /// What it means: whole sentences, in the characters that an `error_description` may have.
    pub meaning: &'static str,
    /// What mends it: whole sentences, in the same characters.
    pub remedy: &'static str,
    /// Who can mend it.
    pub mended_by: MendedBy,
    /// Whether the same request may well succeed later although nobody has changed anything.
    pub passes_by_itself: bool,
    /// What whoever mends it has to look at.
    pub look_at: &'static [LookAt],
    /// For a refusal without a code: alternatives, each of them words that all have to be in the description.
    told_by: &'static [&'static [&'static str]],
}

/// What went wrong: one for each entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// MP-011.
    MalformedValue,
    /// MP-012.
    GrantUsedBefore,
    /// MP-100.
    ClientNotFound,
    /// MP-110.
    WrongAudience,
    /// MP-120.
    InvalidCertificate,
    /// MP-121.
    ExpiredKey,
    /// MP-122.
    OtherOrganisation,
    /// MP-123.
    MalformedX5c,
    /// MP-124, signed with a registered key.
    InvalidSignature,
    /// MP-124, signed with a certificate's key.
    InvalidSignatureOfCertificate,
    /// MP-130.
    GrantExpired,
    /// MP-200.
    ScopeNotRegistered,
    /// MP-201.
    IntegrationType,
    /// MP-250.
    ScopeNotGranted,
    /// MP-251.
    ScopeNotDelegated,
    /// MP-301.
    DetailsType,
    /// MP-302.
    DetailsField,
    /// MP-303.
    DetailsValue,
    /// No code: `iat` is too far from Maskinporten's clock.
    IssueTime,
    /// No code: signed with a certificate although the client has a registered key.
    KidRequired,
    /// No code: `consumer_org` is the client's own.
    OwnConsumerOrg,
    /// A refusal that the catalogue does not have.
    Unlisted,
    /// Our own certificate is not valid now, so that Maskinporten is not asked.
    OwnCertificateNotValid,
    /// The HTTP client, or the request, could not be made.
    Request,
    /// The name has no address.
    NameLookup,
    /// The name look-up took too long.
    NameLookupTimedOut,
    /// No TCP connection.
    Connection,
    /// No TCP connection to this very machine.
    ConnectionToThisMachine,
    /// TCP, a proxy's tunnel and TLS took too long together.
    ConnectionTimedOut,
    /// No TLS, for another reason than the certificate.
    Tls,
    /// Nobody whom we trust has issued the server's certificate.
    UnknownCa,
    /// The same, in one of Digdir's environments.
    TlsBrokenOpen,
    /// The server's certificate is another host's.
    CertificateOfAnotherHost,
    /// The server's certificate is not valid now.
    ServerCertificateNotValid,
    /// The proxy asks for a user and a password.
    ProxyAuthentication,
    /// No TCP connection to the proxy.
    ProxyConnection,
    /// The proxy opened no tunnel.
    Proxy,
    /// The answer, or its body, took too long.
    AnswerTimedOut,
    /// The connection ended too early.
    Interrupted,
    /// Status 429.
    TooManyRequests,
    /// Status 408 or 5xx.
    Outage,
    /// A redirect.
    Redirect,
    /// A page for a browser.
    Page,
    /// Another answer that is not OAuth.
    NotOAuth,
    /// The answer ended in the middle.
    Truncated,
    /// An answer with a token that cannot be handed on.
    OddToken,
}

/// Who can mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MendedBy {
    /// Whoever runs Portvakt, its configuration and its machine.
    Operator,
    /// Whoever asks for the token.
    Caller,
    /// The organisation's administrator in Samarbeidsportalen.
    Administrator,
    /// The provider of the API that the token is for.
    ApiProvider,
    /// The consumer that delegates, in Altinn.
    Consumer,
    /// Digdir.
    Digdir,
    /// Nobody has to: it passes by itself.
    Itself,
}

/// What whoever mends a failure has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookAt {
    /// The setting with the client's ID.
    ClientId,
    /// The setting with its environment.
    Environment,
    /// The setting with its key.
    Key,
    /// The settings that name the scope.
    Scopes,
    /// The client's page in Samarbeidsportalen.
    ClientPage,
}

impl Cause {
    /// What it is where the environment is known: a CA that nobody knows is something else where Digdir should answer, and a connection
    /// that is refused something else where no firewall and no proxy comes between.
    #[must_use]
    pub fn in_environment(self, environment: &Environment) -> Self {
        match self {
            Self::UnknownCa if environment.is_production() || environment.is_test() => Self::TlsBrokenOpen,
            Self::Connection if environment.is_loopback() => Self::ConnectionToThisMachine,
            _ => self,
        }
    }
}

impl KnownError {
    /// All of them: first those with a code, in its order, then Maskinporten's without one, then those on the way to it.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        refusals::REFUSALS.iter().chain([&refusals::UNLISTED]).chain(on_the_way::ON_THE_WAY)
    }

    /// The entry of a cause.
    pub fn of(cause: Cause) -> &'static Self {
        Self::all().find(|known| known.cause == cause).unwrap_or(&refusals::UNLISTED)
    }

    /// Whose it is to mend, and how: whole sentences.
    pub fn what_to_do(&self) -> String {
        self.for_whom(self.remedy)
    }

    /// A remedy, with whose it is in front.
    pub(super) fn for_whom(&self, remedy: &str) -> String {
        match self.mended_by {
            MendedBy::Itself => remedy.to_owned(),
            who => format!("For {who}: {remedy}"),
        }
    }

    /// The failure without a code that this description tells of.
    pub fn by_description(description: &str) -> Option<&'static Self> {
        let description = description.to_ascii_lowercase();
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words: Vec<&str> = description.split(|character| !is_word(character)).collect();
        Self::all().find(|known| known.told_by.iter().any(|alternative| alternative.iter().all(|word| words.contains(word))))
    }
}

impl fmt::Display for MendedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "whoever runs Portvakt",
            Self::Caller => "whoever asks for the token",
            Self::Administrator => "the organisation's administrator in Samarbeidsportalen",
            Self::ApiProvider => "the API provider",
            Self::Consumer => "the consumer, in Altinn",
            Self::Digdir => "Digdir",
            Self::Itself => "nobody: it passes by itself",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maskinporten::printable;
    use rstest::rstest;
    use std::collections::HashSet;

    #[rstest]
    #[case("Issue time is after now", Some(Cause::IssueTime))]
    #[case("Invalid assertion. iat out of tolerance", Some(Cause::IssueTime))]
    #[case("The client requires pre-registered jwk and no key identifier (kid) provided", Some(Cause::KidRequired))]
    #[case("Invalid consumer_org: equals the client's own number", Some(Cause::OwnConsumerOrg))]
    #[case("Invalid assertion", None)]
    #[case("Invalid variation of consumer_org", None)]
    #[case("", None)]
    fn failures_without_a_code_are_told_by_their_description(#[case] description: &str, #[case] expected: Option<Cause>) {
        let found = KnownError::by_description(description);
        assert_eq!(found.map(|known| known.cause), expected);
        assert!(found.is_none_or(|known| known.code.is_none()));
    }

    #[test]
    fn each_cause_has_one_entry_and_no_meaning_stands_twice() {
        let (mut causes, mut meanings) = (HashSet::new(), HashSet::new());
        for known in KnownError::all() {
            assert!(causes.insert(known.cause), "{:?}", known.cause);
            assert!(meanings.insert(known.meaning), "{}", known.meaning);
            assert_eq!(KnownError::of(known.cause), known);
        }
    }

    #[test]
    fn every_text_is_whole_sentences_that_an_error_description_may_have() {
        for known in KnownError::all() {
            for text in [known.meaning, known.remedy] {
                assert_eq!(printable(text, 300), text);
                assert!(text.ends_with('.'), "{text}");
            }
        }
    }

    #[test]
    fn what_nobody_has_to_mend_passes_by_itself_and_what_maskinporten_refuses_does_not() {
        for known in KnownError::all() {
            assert!(known.passes_by_itself || known.mended_by != MendedBy::Itself, "{known:?}");
            assert!(!known.passes_by_itself || known.code.is_none() && known.told_by.is_empty(), "{known:?}");
        }
    }
}
