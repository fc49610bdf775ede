//! Single values: durations, addresses, networks, names, scopes, organisation numbers, moments.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::findings::Findings;
use super::reader::{Item, quotable};
use crate::maskinporten::{InvalidScope, Scopes};

/// An hour: longer than any of the waits makes sense, and short enough for every clock's arithmetic.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// `iss` at the token endpoint; a client ID and a name must fit into it.
const LONGEST_NAME: usize = 256;
/// `resource` at the token endpoint.
const LONGEST_RESOURCE: usize = 2048;
/// `scope` at the token endpoint.
const LONGEST_SCOPE: usize = 4096;
const ORGANISATION_NUMBER_DIGITS: usize = 9;

/// `"5s"`, `"500ms"`: at most an hour. Zero is a duration too.
pub(super) fn duration(item: Item<'_>, findings: &mut Findings) -> Option<Duration> {
    let name = item.field.name;
    let Some(text) = item.as_text() else {
        item.wrong(format!("`{name}` must be a duration with its unit, as text in quotes"), findings);
        return None;
    };
    let duration = text.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    match duration {
        None => item.wrong(format!("`{}` is not a duration: a number and its unit (ms, s, m or h)", quotable(text)), findings),
        Some(duration) if duration > LONGEST_WAIT => item.wrong(format!("`{name}` is longer than an hour"), findings),
        Some(duration) => return Some(duration),
    }
    None
}

/// A duration that makes no sense as zero.
pub(super) fn wait(item: Item<'_>, findings: &mut Findings) -> Option<Duration> {
    let duration = duration(item, findings)?;
    if duration.is_zero() {
        item.wrong(format!("`{}` is zero: nothing could be done within it", item.field.name), findings);
        return None;
    }
    Some(duration)
}

/// Where to listen: address and port.
pub(super) fn address(item: Item<'_>, findings: &mut Findings) -> Option<SocketAddr> {
    let text = item.text(findings)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let shown = quotable(text);
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, port.parse::<u16>().ok()));
    let mistake = match (host, port) {
        _ if text.parse::<u16>().is_ok() => format!("`{shown}` is a port alone: an address is needed too"),
        _ if text.parse::<IpAddr>().is_ok() => format!("`{shown}` is an address alone: a port is needed too"),
        ("", Some(_)) => format!("`{shown}` has no address before the port"),
        (host, Some(_)) if host.starts_with('[') || host.contains(':') => format!("`{shown}` is not an address and a port"),
        (host, Some(_)) => format!("`{}` is a host name: an IP address of this machine is needed", quotable(host)),
        (_, None) => format!("`{shown}` is not an address and a port"),
    };
    let everywhere = item.field.example.replace("127.0.0.1", "0.0.0.0");
    let help = format!("{}, or {everywhere} to listen on all addresses", item.field.help());
    findings.mistake(item.place, mistake, help);
    None
}

/// A network in CIDR form, without bits set behind its prefix.
pub(super) fn network(text: &str, item: Item<'_>, findings: &mut Findings) -> Option<IpNet> {
    let shown = quotable(text);
    if let Ok(address) = text.parse::<IpAddr>() {
        let one = IpNet::from(address);
        findings.mistake(item.place, format!("`{shown}` is an address, not a network"), format!("write \"{one}\" for this address alone"));
        return None;
    }
    let Ok(network) = text.parse::<IpNet>() else {
        item.wrong(format!("`{shown}` is not a network"), findings);
        return None;
    };
    if network.trunc() != network {
        let one = IpNet::from(network.addr());
        let help = format!("write \"{}\" for all of that network, or \"{one}\" for this address alone", network.trunc());
        findings.mistake(item.place, format!("`{shown}` names one address and, by its length, a whole network"), help);
        return None;
    }
    Some(network)
}

/// A client ID or an integration's name: what a request's `iss` can be.
pub(super) fn issuer_name<'t>(item: Item<'t>, findings: &mut Findings) -> Option<&'t str> {
    let text = label(item, findings)?;
    let name = item.field.name;
    if let Some(character) = text.chars().find(|character| !character.is_ascii_graphic()) {
        let what = if character == ' ' { "a space".to_owned() } else { format!("`{}`", character.escape_default()) };
        item.wrong(
            format!("`{name}` has {what} in it: requests name it in a header, where only printable ASCII without spaces arrives unchanged"),
            findings,
        );
        return None;
    }
    if text.eq_ignore_ascii_case("null") || text.contains("{#") {
        item.wrong(format!("`{}` in a request means that nothing was given", quotable(text)), findings);
        return None;
    }
    Some(text)
}

/// A name for logs and metrics.
pub(super) fn label<'t>(item: Item<'t>, findings: &mut Findings) -> Option<&'t str> {
    let text = item.text(findings)?;
    let name = item.field.name;
    if text.trim() != text && !text.trim().is_empty() {
        let help = format!("write `{name} = \"{}\"`", quotable(text.trim()));
        findings.mistake(item.place, format!("`{name}` begins or ends with a space"), help);
        return None;
    }
    let mistake = if text.trim().is_empty() {
        format!("`{name}` is empty")
    } else if text.chars().any(char::is_control) {
        format!("`{name}` has a control character in it")
    } else if text.len() > LONGEST_NAME {
        format!("`{name}` has {} bytes, and {LONGEST_NAME} are the most", text.len())
    } else if text == "none" {
        format!("`{name}` cannot be `none`: metrics say that where nobody is known")
    } else {
        return Some(text);
    };
    item.wrong(mistake, findings);
    None
}

/// Nine digits.
pub(super) fn organisation_number(text: &str, item: Item<'_>, findings: &mut Findings) -> bool {
    let good = text.len() == ORGANISATION_NUMBER_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if !good {
        let help = match text.strip_prefix("0192:") {
            Some(digits) => format!("write \"{}\", without the register's number", quotable(digits)),
            None => item.field.help(),
        };
        findings.mistake(item.place, format!("`{}` is not an organisation number: nine digits", quotable(text)), help);
    }
    good
}

/// A value that travels in a header: printable ASCII without spaces.
pub(super) fn header_value(text: &str, item: Item<'_>, findings: &mut Findings) -> bool {
    let name = item.field.name;
    if text.is_empty() {
        item.wrong(format!("an empty text in `{name}`"), findings);
    } else if text.len() > LONGEST_RESOURCE {
        item.wrong(format!("a value of `{name}` has {} bytes, and {LONGEST_RESOURCE} are the most", text.len()), findings);
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.wrong(format!("`{}` has a character that is not printable ASCII, or a space", quotable(text)), findings);
    } else {
        return true;
    }
    false
}

/// Whole scopes, separated by spaces.
pub(super) fn scopes(text: &str, item: Item<'_>, findings: &mut Findings) -> Option<Scopes> {
    let scopes = match Scopes::parse(text) {
        Ok(scopes) => scopes,
        Err(error) => {
            item.wrong(not_a_scope(text, &error), findings);
            return None;
        }
    };
    if text.len() > LONGEST_SCOPE {
        item.wrong(format!("these scopes have {} bytes together, and {LONGEST_SCOPE} are the most", text.len()), findings);
        return None;
    }
    if scopes.as_str().contains('*') {
        let mistake = format!("`{}` stands for many scopes: a token is asked for by whole ones", quotable(text));
        findings.mistake(item.place, mistake, "name each scope in full; `*` belongs in a caller's rule");
        return None;
    }
    Some(scopes)
}

fn not_a_scope(text: &str, error: &InvalidScope) -> String {
    match error {
        InvalidScope::Empty => "an empty text names no scope".to_owned(),
        InvalidScope::Character { .. } => format!("`{}` is not a scope: {error}", quotable(text)),
    }
}

/// A scope of a rule: one, that may end in `*`.
pub(super) fn scope_pattern(text: &str, item: Item<'_>, findings: &mut Findings) -> bool {
    let shown = quotable(text);
    match Scopes::parse(text) {
        Err(error) => item.wrong(not_a_scope(text, &error), findings),
        Ok(_) if text.contains(' ') => {
            let each: Vec<String> = text.split_whitespace().map(|scope| format!("\"{}\"", quotable(scope))).collect();
            findings.mistake(
                item.place,
                format!("`{shown}` has a space: each scope stands by itself"),
                format!("write [{}]", each.join(", ")),
            );
        }
        Ok(_) if text.find('*').is_some_and(|index| index + 1 < text.len()) => {
            findings.mistake(
                item.place,
                format!("`{shown}`: `*` can only be a scope's last character"),
                "write for example \"folkeregister:deling/*\"",
            );
        }
        Ok(_) => return true,
    }
    false
}

/// The moment from which on something is refused: after a date's last second in UTC, or at a date-time.
pub(super) fn expiry(item: Item<'_>, findings: &mut Findings) -> Option<Timestamp> {
    let Some(written) = item.as_datetime() else {
        item.wrong(format!("`{}` must be a date or a date-time, without quotes", item.field.name), findings);
        return None;
    };
    let Some(date) = written.date else {
        item.wrong(format!("`{}` is a time of day without a date", item.field.name), findings);
        return None;
    };
    let moment = match (written.time, written.offset) {
        (Some(_), None) => {
            findings.mistake(
                item.place,
                "this date-time does not say in which time zone",
                format!("write `{written}Z` for UTC, or an offset as `+01:00`"),
            );
            return None;
        }
        (Some(time), Some(offset)) => date_time(date, time).and_then(|written| instant(written, offset)),
        (None, _) => day(date)
            .and_then(|day| day.tomorrow().ok())
            .and_then(|next| Offset::UTC.to_timestamp(next.to_datetime(jiff::civil::Time::midnight())).ok()),
    };
    if moment.is_none() {
        item.wrong(format!("`{}` is not a moment that can be reckoned with", item.field.name), findings);
    }
    moment
}

fn day(date: toml::value::Date) -> Option<Date> {
    Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

fn date_time(date: toml::value::Date, time: toml::value::Time) -> Option<DateTime> {
    // A leap second is taken as the second before it, as POSIX clocks do.
    let second = time.second.unwrap_or_default().min(59);
    let nanosecond = i32::try_from(time.nanosecond.unwrap_or_default()).ok()?;
    let time =
        jiff::civil::Time::new(i8::try_from(time.hour).ok()?, i8::try_from(time.minute).ok()?, i8::try_from(second).ok()?, nanosecond)
            .ok()?;
    Some(day(date)?.to_datetime(time))
}

fn instant(written: DateTime, offset: toml::value::Offset) -> Option<Timestamp> {
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => minutes,
    };
    Offset::from_seconds(i32::from(minutes) * 60).ok()?.to_timestamp(written).ok()
}
