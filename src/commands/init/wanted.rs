//! What tokens are wanted for: registers by their names, or any scopes.

use crate::maskinporten::Scopes;

use super::flags::Freg;

const UTEN_HJEMMEL: &str = "folkeregister:deling/offentligutenhjemmel";
/// The plan "med hjemmel" asks for both in one token.
const MED_HJEMMEL: &str = "folkeregister:deling/offentligmedhjemmel folkeregister:deling/offentligutenhjemmel";
const KRR: &str = "krr:global/kontaktinformasjon.read";

/// The tokens that are wanted, each by its scopes.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    freg: Option<Freg>,
    krr: bool,
    others: Vec<Scopes>,
}

impl Wanted {
    pub(super) fn new(freg: Option<Freg>, krr: bool, others: Vec<Scopes>) -> Self {
        Self { freg, krr, others }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.freg.is_none() && !self.krr && self.others.is_empty()
    }

    /// The scopes of each token, none twice.
    pub(super) fn tokens(&self) -> Vec<String> {
        let freg: &[&str] = match self.freg {
            Some(Freg::UtenHjemmel) => &[UTEN_HJEMMEL],
            Some(Freg::MedHjemmel) => &[UTEN_HJEMMEL, MED_HJEMMEL],
            None => &[],
        };
        let named = freg.iter().copied().chain(self.krr.then_some(KRR));
        let mut tokens: Vec<String> = Vec::new();
        for token in named.chain(self.others.iter().map(Scopes::as_str)) {
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_owned());
            }
        }
        tokens
    }

    /// Each scope once.
    pub(super) fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> =
            self.tokens().iter().flat_map(|token| token.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// `freg` or `krr`, when it is for that register alone.
    pub(super) fn register(&self) -> Option<&'static str> {
        match (self.freg, self.krr, self.others.is_empty()) {
            (Some(_), false, true) => Some("freg"),
            (None, true, true) => Some("krr"),
            _ => None,
        }
    }
}

/// Whole scopes, as a token is asked for by.
pub(super) fn scopes(text: &str) -> Result<Scopes, String> {
    let scopes = Scopes::parse(text).map_err(|error| error.to_string())?;
    if scopes.as_str().contains('*') {
        return Err("a token is asked for by whole scopes, and `*` stands for many".to_owned());
    }
    if scopes.as_str().len() > 4096 {
        return Err("these scopes are longer than 4096 bytes, which no request can bring".to_owned());
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some(Freg::UtenHjemmel), false, &[], Some("freg"), 1, 1)]
    #[case(Some(Freg::MedHjemmel), false, &[], Some("freg"), 2, 2)]
    #[case(None, true, &[], Some("krr"), 1, 1)]
    #[case(Some(Freg::MedHjemmel), true, &["a:b a:c", "a:c"], None, 5, 5)]
    #[case(None, true, &[KRR], None, 1, 1)]
    fn tokens_and_scopes(
        #[case] freg: Option<Freg>,
        #[case] krr: bool,
        #[case] others: &[&str],
        #[case] register: Option<&str>,
        #[case] tokens: usize,
        #[case] each: usize,
    ) {
        let wanted = Wanted::new(freg, krr, others.iter().map(|text| scopes(text).unwrap()).collect());
        assert_eq!((wanted.register(), wanted.tokens().len(), wanted.scopes().len()), (register, tokens, each));
    }

    #[rstest]
    #[case("")]
    #[case("folkeregister:deling/*")]
    #[case("ø:å")]
    fn what_is_no_whole_scope(#[case] text: &str) {
        assert!(scopes(text).is_err());
    }
}
