//! Each caller: its keys, where it may ask from, and its rules.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::{Timestamp, tz::TimeZone};

use super::finding::{Finding, Stage, or_ok};
use super::keys::DAYS_AHEAD;
use super::rules;
use super::runner::Check;
use crate::access::has_wrong_checksum;
use crate::config::{ApiKey, Caller, Config};

/// A check for each caller.
pub(super) fn checks(config: &Arc<Config>) -> Vec<Check> {
    let now = Timestamp::now();
    let check = |caller: &Caller| {
        let mut findings = keys(&caller.keys, now);
        findings.extend(networks(&caller.networks, config.server.listen.ip()));
        findings.extend(rules::findings(&caller.may));
        let findings = or_ok(findings, || facts(caller, now));
        Check::known(Stage::Callers.of(&caller.name), "its keys, networks and rules", findings)
    };
    config.callers.iter().map(check).collect()
}

/// One that has expired is a failure only when it was the last.
fn keys(keys: &[ApiKey], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let has_expired = |key: &ApiKey| key.expires.is_some_and(|expires| expires <= now);
    let all_expired = keys.iter().all(has_expired);
    for key in keys {
        let shown = shown(key);
        if let Some(expires) = key.expires {
            let days = (expires.as_second() - now.as_second()).div_euclid(24 * 60 * 60);
            let renew = "Make a new one with `portvakt api-key new`, add its line to the caller's keys, and give it to the caller.";
            if has_expired(key) && all_expired {
                findings
                    .push(Finding::failed(format!("the API key {shown} has expired, on {}: this caller is refused", day(expires)), renew));
            } else if has_expired(key) {
                let remedy = "Take it out of the file, once nobody uses it any more.";
                findings.push(Finding::warning(format!("the API key {shown} has expired, on {}", day(expires)), remedy));
            } else if u64::try_from(days).is_ok_and(|days| days <= DAYS_AHEAD) {
                findings.push(Finding::warning(format!("the API key {shown} expires in {days} days, on {}", day(expires)), renew));
            }
        }
        if let Some(file) = key.file.as_ref().filter(|file| std::str::from_utf8(file.without_line_break()).is_ok_and(has_wrong_checksum)) {
            let found = format!(
                "the API key in {} begins as Portvakt's own do, but its checksum does not fit: a character is missing or mistyped",
                file.path.display()
            );
            findings.push(Finding::warning(
                found,
                "Copy the key again from where it was shown, or make a new one with `portvakt api-key new`.",
            ));
        }
    }
    findings
}

/// The beginning of its digest: what the file shows of it.
fn shown(key: &ApiKey) -> String {
    const SHOWN: usize = 8;
    format!("{}…", hex::encode(key.sha256).chars().take(SHOWN).collect::<String>())
}

/// To the minute, in UTC: a date in the file lasts to the end of its day.
fn day(expires: Timestamp) -> String {
    let moment = expires.to_zoned_datetime(TimeZone::UTC);
    format!("{} at {:02}:{:02} UTC", moment.date(), moment.hour(), moment.minute())
}

fn networks(networks: &[IpNet], listen: IpAddr) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        if network.prefix_len() == 0 {
            findings.push(Finding::warning(
                format!("the network {network} is every address of its kind"),
                "Name the networks that this caller really asks from, or leave `networks` out to say that it may come from anywhere.",
            ));
        }
        let within = |(other_index, other): &(usize, &IpNet)| {
            *other_index != index && other.contains(network) && (*other != network || *other_index < index)
        };
        if let Some((_, other)) = networks.iter().enumerate().find(within) {
            findings.push(Finding::warning(
                format!("the network {network} lies within {other}"),
                "Leave the smaller one out, or correct the larger.",
            ));
        }
    }
    let loopback = |network: &IpNet| network.network().is_loopback() || network.prefix_len() == 0;
    if listen.to_canonical().is_loopback() && !networks.is_empty() && !networks.iter().any(loopback) {
        findings.push(Finding::failed(
            format!("it may not ask from this machine, and nobody else reaches the listener on {listen}: every request is refused"),
            "Add 127.0.0.1/32 to its networks (a proxy on this machine asks from there), or listen beyond loopback.",
        ));
    }
    findings
}

fn facts(caller: &Caller, now: Timestamp) -> String {
    let count = super::configuration::count;
    let valid = caller.keys.iter().filter(|key| key.expires.is_none_or(|expires| expires > now)).count();
    let networks = match caller.networks.len() {
        0 => "from anywhere".to_owned(),
        some => format!("from {}", count(some, "network")),
    };
    let notes = rules::notes(&caller.may);
    format!("{}, {networks}, {}{}", count(valid, "key"), count(caller.may.len(), "rule"), notes)
}
