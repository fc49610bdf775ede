//! The log, on stderr: stdout is for results.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Our own target: the library's name.
const OURS: &str = "portvakt";

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for a person.
    Text,
    /// A JSON object a line.
    Json,
}

/// `PORTVAKT_LOG` is not a filter, or there is a log already.
#[derive(Debug, Error)]
pub enum InvalidLogFilter {
    /// Not of the form `level` or `target=level,target=level`.
    #[error(
        "PORTVAKT_LOG is `{0}`, which is not a log filter: write a level (off, error, warn, info, debug, trace) or `portvakt=debug,hyper=info`"
    )]
    Syntax(String),
    /// Called twice in one process.
    #[error("the log was started already")]
    Twice(#[from] TryInitError),
}

/// Starts the log. `filter` is `PORTVAKT_LOG`'s value: a level, or `target=level` pairs separated by commas; none means info.
/// `format` none means text on a terminal and JSON elsewhere.
///
/// # Errors
///
/// [`InvalidLogFilter`] when the filter cannot be read, or the log was started before.
pub fn start_logging(filter: Option<&str>, format: Option<LogFormat>) -> Result<(), InvalidLogFilter> {
    let targets = match filter.map(str::trim).filter(|filter| !filter.is_empty()) {
        // What libraries do is of interest when something is wrong with them.
        None => Targets::new().with_target(OURS, Level::INFO).with_default(Level::WARN),
        Some(filter) => targets(filter).ok_or_else(|| InvalidLogFilter::Syntax(filter.to_owned()))?,
    };
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colours);
            // It would be told of on stderr, which is what could not be written to, and that panics.
            let lines = lines.log_internal_errors(false);
            registry.with(lines.with_filter(targets).with_filter(dependencies_at_debug())).try_init()?;
        }
        LogFormat::Json => {
            registry.with(json().with_filter(targets).with_filter(dependencies_at_debug())).try_init()?;
        }
    }
    Ok(())
}

/// A line's fields, those of its request and the rest stand side by side, wherever it comes from: tracing-subscriber's own JSON would put
/// the `request_id` one deeper.
fn json<S: Subscriber + for<'a> LookupSpan<'a>>() -> json_subscriber::fmt::Layer<S, fn() -> io::Stderr> {
    let lines = json_subscriber::layer().with_writer(io::stderr as fn() -> io::Stderr).flatten_event(true);
    let lines = lines.flatten_current_span_on_top_level(true).with_current_span(false).with_span_list(false);
    let mut lines = lines.log_internal_errors(false);
    // Who has it from the `log` crate says so in fields of its own, which the library leaves alone.
    lines.inner_layer_mut().add_dynamic_field("target", |event, _| {
        let normalized = event.normalized_metadata();
        Some(normalized.as_ref().unwrap_or_else(|| event.metadata()).target().to_owned())
    });
    lines
}

/// Stricter than the library's own parser, which takes any word that is no level for the name of a target: a mistyped level would
/// silence the whole log.
fn targets(filter: &str) -> Option<Targets> {
    let level = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).and_then(|text| text.parse::<LevelFilter>().ok());
    let is_target =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':'));
    filter.split(',').try_fold(Targets::new(), |targets, directive| match directive.split_once('=') {
        None => Some(targets.with_default(level(directive)?)),
        Some((target, text)) => Some(targets.with_target(Some(target.trim()).filter(|target| is_target(target))?, level(text)?)),
    })
}

/// This one's debug level repeats the values of headers that it cannot read.
const REPEATS_HEADERS: &str = "actix_http";

/// A dependency's trace level prints what passes through it, headers and bodies with secrets among it: only our own target reaches trace.
fn dependencies_at_debug() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let most = |target: &str| {
        if target.starts_with(OURS) {
            Level::TRACE
        } else if target.starts_with(REPEATS_HEADERS) {
            Level::INFO
        } else {
            Level::DEBUG
        }
    };
    filter_fn(move |metadata| *metadata.level() <= most(metadata.target())).with_max_level_hint(LevelFilter::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (filter, ours, others) in [
            ("debug", Level::DEBUG, Some(Level::DEBUG)),
            ("INFO", Level::INFO, Some(Level::INFO)),
            ("warn,portvakt=trace", Level::TRACE, Some(Level::WARN)),
            ("portvakt=debug, hyper_util=info", Level::DEBUG, Some(Level::INFO)),
            ("portvakt::tokens=error,portvakt=info", Level::INFO, None),
        ] {
            let targets = targets(filter).unwrap();
            for (target, most) in [("portvakt", Some(ours)), ("hyper_util", others)] {
                assert_eq!(targets.would_enable(target, &most.unwrap_or(Level::ERROR)), most.is_some(), "{filter}: {target}");
                assert!(most.is_none_or(|most| most == Level::TRACE || !targets.would_enable(target, &Level::TRACE)), "{filter}: {target}");
            }
        }
        assert!(!targets("off").unwrap().would_enable("portvakt", &Level::ERROR));
    }

    #[test]
    fn what_is_no_filter() {
        for filter in
            ["inof", "portvakt", "=", "=info", "portvakt=", "portvakt=loud", "a=b=c", ",", "info,", "[", "a[{b}]=info", "\u{f8}", "9"]
        {
            assert!(targets(filter).is_none(), "{filter}");
        }
    }
}
