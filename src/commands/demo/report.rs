//! The demo on screen: who asked for what, what Portvakt did, and what it cost.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::call::{Answer, Claims, token_url};
use super::stage::{Caller, Integration, Stage};
use super::steps::{Maskinporten, Seen, Step};
use super::throwaway::{ORGANISATION_NAME, ORGANISATION_NUMBER};
use crate::simulator::SeenGrant;

const TITLE: Style = Style::new().bold();
const LABEL: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// How much of a token is shown, at each end.
const TOKEN_SHOWN: usize = 8;

/// What plays, and where.
pub(super) fn introduction(out: &mut impl Write, stage: &Stage, took: Duration) -> io::Result<()> {
    writeln!(out, "{TITLE}Portvakt and a simulated Maskinporten, on this machine. Ready after {}.{TITLE:#}", duration(took))?;
    line(out, "Portvakt", token_url(stage.tokens()))?;
    line(out, "management", format_args!("http://{}/metrics", stage.management()))?;
    line(out, "Maskinporten", format_args!("{} (simulated: every rule of a grant is checked)", stage.simulator.issuer()))?;
    let freg = format_args!("signs with a virksomhetssertifikat of {ORGANISATION_NAME} ({ORGANISATION_NUMBER}), from a PKCS#12 file");
    line(out, Integration::Freg.name(), freg)?;
    line(out, Integration::Krr.name(), format_args!("signs with a registered key, kid {}", stage.kid()))?;
    line(out, "settings", stage.configuration_file().display())
}

/// One step, when its calls have been made.
pub(super) fn step(out: &mut impl Write, number: usize, step: &Step, seen: &Seen, deviations: &[String]) -> io::Result<()> {
    writeln!(out, "\n{TITLE}{number}. {}{TITLE:#}", step.title)?;
    let asks = format!("{} asks {} for {}", asking(step.call.caller, step.at_once), step.call.integration.name(), step.call.scope);
    line(out, "who", asks)?;
    line(out, "Portvakt", format_args!("{}, {}", did(step, seen), cost(seen)))?;
    if let Some(grant) = &seen.grant {
        line(out, "grant", in_short(grant))?;
    }
    if let Some(Ok(answer)) = seen.answers.first() {
        self::answer(out, answer)?;
    }
    if deviations.is_empty() {
        return line(out, "", format_args!("{GOOD}as it should be{GOOD:#}"));
    }
    for deviation in deviations {
        line(out, "", format_args!("{BAD}deviation:{BAD:#} {deviation}"))?;
    }
    Ok(())
}

/// All steps, counted.
pub(super) fn conclusion(out: &mut impl Write, totals: &Totals) -> io::Result<()> {
    let Totals { steps, deviating, calls, exchanges } = totals;
    writeln!(out)?;
    if *deviating == 0 {
        writeln!(out, "{GOOD}All {steps} steps went as they should{GOOD:#}: {calls} calls, {exchanges} exchanges with Maskinporten.")
    } else {
        writeln!(out, "{BAD}{deviating} of {steps} steps did not go as they should{BAD:#}: see the deviations above.")
    }
}

/// What all steps came to.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) steps: usize,
    pub(super) deviating: usize,
    pub(super) calls: usize,
    pub(super) exchanges: u64,
}

impl Totals {
    pub(super) fn add(&mut self, seen: &Seen, deviations: &[String]) {
        self.steps += 1;
        self.deviating += usize::from(!deviations.is_empty());
        self.calls += seen.answers.len();
        self.exchanges += seen.exchanges;
    }
}

fn asking(caller: Caller, at_once: usize) -> String {
    match at_once {
        1 => caller.name().to_owned(),
        several => format!("{}, {several} times at once,", caller.name()),
    }
}

/// By what was seen, not by what was expected.
fn did(step: &Step, seen: &Seen) -> &'static str {
    let granted = seen.answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200));
    match (granted, seen.exchanges, seen.answers.len(), step.maskinporten) {
        (true, 0, _, Maskinporten::Up) => "took the token from its cache",
        (true, 0, _, Maskinporten::Down) => "took the token from its cache, and nobody noticed",
        (true, 1, 1, _) => "signed a grant and exchanged it at Maskinporten",
        (true, 1, ..) => "signed one grant, exchanged it once, and gave the token to all",
        (true, ..) => "made several exchanges",
        (false, 0, ..) => "refused it by the caller's rules, and did not ask Maskinporten",
        (false, ..) => "signed a grant, and passed on why there was no token for it",
    }
}

fn cost(seen: &Seen) -> String {
    match seen.answers.as_slice() {
        [Ok(answer)] => duration(answer.took),
        [_] => duration(seen.took),
        _ => format!("{} until the last one had it", duration(seen.took)),
    }
}

/// Which key signed, and what the grant says: the simulator saw it.
fn in_short(grant: &SeenGrant) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("none").to_owned();
    let number = |name: &str| grant.claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    let key = match grant.header.get("x5c").and_then(Value::as_array) {
        Some(chain) => format!("x5c with {} certificate{}", chain.len(), if chain.len() == 1 { "" } else { "s" }),
        None => format!("kid {}", text(grant.header.get("kid"))),
    };
    let (algorithm, audience, jti) = (text(grant.header.get("alg")), text(grant.claims.get("aud")), text(grant.claims.get("jti")));
    format!("{algorithm}, {key}, aud {audience}, good for {} s, jti {jti}", number("exp") - number("iat"))
}

fn answer(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let body = &answer.body;
    if let Some(token) = &body.access_token {
        let left = body.expires_in.map_or_else(|| "nobody knows how long".to_owned(), |seconds| format!("expires_in {seconds}"));
        line(out, "answer", format_args!("{}, {left}, access_token {}", answer.status, shortened(token)))?;
        return Claims::of(token).map_or(Ok(()), |claims| {
            let Claims { client_id, client_amr, consumer, .. } = claims;
            line(out, "claims", format_args!("consumer {}, client_id {client_id}, client_amr {client_amr}", consumer.id))
        });
    }
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    line(out, "answer", format_args!("{} {}: {}", answer.status, said(&body.error), said(&body.error_description)))?;
    match (&body.maskinporten_code, &body.trace_id) {
        (Some(code), Some(trace_id)) => line(out, "code", format_args!("{code}, trace_id {trace_id} (what Digdir's support asks for)")),
        _ => Ok(()),
    }
}

/// Both ends of a token and its length: enough to tell two apart, too little to use one.
fn shortened(token: &str) -> String {
    let shown = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let end = token.len().saturating_sub(TOKEN_SHOWN).max(TOKEN_SHOWN);
    format!("{}...{} ({} bytes)", shown(token.get(..TOKEN_SHOWN)), shown(token.get(end..)), token.len())
}

fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.2} ms") } else { format!("{milliseconds:.0} ms") }
}

fn line(out: &mut impl Write, label: &str, text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "   {LABEL}{label:<13}{LABEL:#}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_whole() {
        for length in [0, 7, 8, 9, 16, 17, 900] {
            let token: String = ('a'..='z').cycle().take(length).collect();
            let short = shortened(&token);
            assert!(short.ends_with(&format!("({length} bytes)")), "{short}");
            if length > 16 {
                assert!(!short.contains(&token[..9]), "{short}");
            }
        }
        assert_eq!(shortened("eyJhbGciOiJSUzI1NiJ9.payload.signature"), "eyJhbGci...ignature (38 bytes)");
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        let table = [(412, "0.41 ms"), (9_990, "9.99 ms"), (12_300, "12 ms"), (1_204_000, "1204 ms")];
        for (microseconds, expected) in table {
            assert_eq!(duration(Duration::from_micros(microseconds)), expected);
        }
    }
}
