//! A caller's rules: what they say twice, and what reaches far.

use super::finding::Finding;
use crate::config::{Permitted, Rule};

/// What is to be said of a caller's rules.
pub(super) fn findings(rules: &[Rule]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let name = format!("rule {} (for `{}`)", index + 1, rule.integration);
        let covered_by = |(other_index, other): &(usize, &Rule)| {
            *other_index != index && covers(other, rule) && (!covers(rule, other) || *other_index < index)
        };
        if let Some((other, _)) = rules.iter().enumerate().find(covered_by) {
            let found = format!("{name} never decides anything: rule {} allows all of it", other + 1);
            findings.push(Finding::warning(found, "Take it out, or say in it what it should allow beyond the other."));
        }
        findings.extend(scopes(&name, &rule.scopes));
    }
    findings
}

fn scopes(name: &str, scopes: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        if reaches_far(scope) {
            findings.push(Finding::warning(
                format!(
                    "{name} has the scope `{scope}`, which reaches across API providers: every scope that the integration has or will have"
                ),
                "Name the scopes that this caller needs, or at least their prefix: `folkeregister:deling/*`.",
            ));
        }
        let covered_by = |(other_index, other): &(usize, &String)| {
            *other_index != index && scope_covers(other, scope) && (*other != scope || *other_index < index)
        };
        if let Some((_, other)) = scopes.iter().enumerate().find(covered_by) {
            findings.push(Finding::warning(
                format!("{name} has the scope `{scope}`, which `{other}` allows already"),
                "Leave one of the two out.",
            ));
        }
    }
    findings
}

/// `*` alone, or with less than a whole prefix before it: a prefix is an API provider's.
fn reaches_far(scope: &str) -> bool {
    scope.strip_suffix('*').is_some_and(|prefix| !prefix.contains(':'))
}

/// Scopes that reach over all of a provider's: said, without a warning.
pub(super) fn notes(rules: &[Rule]) -> String {
    let mut wide: Vec<&str> =
        rules.iter().flat_map(|rule| &rule.scopes).filter(|scope| scope.ends_with(":*")).map(String::as_str).collect();
    wide.sort_unstable();
    wide.dedup();
    if wide.is_empty() { String::new() } else { format!("; all scopes of a prefix: {}", wide.join(", ")) }
}

/// Whether every request that `rule` allows is allowed by `other` too.
fn covers(other: &Rule, rule: &Rule) -> bool {
    let parameters = [
        (&other.consumer_org, &rule.consumer_org),
        (&other.iss_onbehalfof, &rule.iss_onbehalfof),
        (&other.resource, &rule.resource),
        (&other.authorization_details, &rule.authorization_details),
    ];
    other.integration == rule.integration
        && rule.scopes.iter().all(|scope| other.scopes.iter().any(|pattern| scope_covers(pattern, scope)))
        && parameters.into_iter().all(|(wider, narrower)| permits_all(wider, narrower))
        && (other.pid || !rule.pid)
        && other.requires.iter().all(|parameter| rule.requires.contains(parameter))
}

fn scope_covers(pattern: &str, scope: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => scope.strip_suffix('*').unwrap_or(scope).starts_with(prefix),
        None => pattern == scope,
    }
}

fn permits_all(wider: &Permitted, narrower: &Permitted) -> bool {
    match (wider, narrower) {
        (Permitted::Any, _) => true,
        (Permitted::These(_), Permitted::Any) => false,
        (Permitted::These(wider), Permitted::These(narrower)) => narrower.iter().all(|value| wider.contains(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a:b", "a:b", true)]
    #[case("a:*", "a:b", true)]
    #[case("a:*", "a:b/*", true)]
    #[case("a:b/*", "a:*", false)]
    #[case("a:b", "a:*", false)]
    #[case("*", "a:*", true)]
    #[case("a:b", "a:c", false)]
    fn which_scope_allows_which(#[case] pattern: &str, #[case] scope: &str, #[case] expected: bool) {
        assert_eq!(scope_covers(pattern, scope), expected);
    }

    #[rstest]
    #[case("*", true)]
    #[case("folke*", true)]
    #[case("folkeregister:*", false)]
    #[case("folkeregister:deling/*", false)]
    #[case("folkeregister:deling", false)]
    fn which_scope_reaches_far(#[case] scope: &str, #[case] expected: bool) {
        assert_eq!(reaches_far(scope), expected);
    }
}
