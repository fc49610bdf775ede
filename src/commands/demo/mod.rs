//! `portvakt demo`: the service and a simulated Maskinporten in one process, and the sector's own calls over real HTTP.
//!
//! What runs is what `serve` runs, from a portvakt.toml that the demo writes: nothing is staged but the other side.

mod by_hand;
mod call;
mod report;
mod stage;
mod steps;
mod throwaway;

use std::io::{self, Write};
use std::time::Instant;

use self::report::Totals;
use self::stage::Stage;
use self::steps::STEPS;
use super::Failure;
use super::signals::Signals;

const EXAMPLES: &str = "\
Makes the calls that a gateway makes for Folkeregisteret and Kontakt- og
reservasjonsregisteret, shows what happens at each, and then stays up, with
curl lines to try. Everything listens on loopback, on free ports. The exit code
is 0 only if every call went as it should.

Examples:
  portvakt demo
  portvakt demo --once";

/// Show the service at work beside a simulated Maskinporten, with throw-away keys
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// End after the calls
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        // Before the stage is set, so that a signal that comes meanwhile still finds the directory removed.
        let mut signals = Signals::new().map_err(Failure::failed)?;
        let started = Instant::now();
        let stage = Stage::set().map_err(Failure::failed)?;
        let shown = show(&stage, started, arguments, &mut signals).await;
        let cleared = stage.clear().await.map_err(|error| Failure::failed(format_args!("the demo's files were not removed: {error}")));
        shown.and(cleared)
    })
}

/// All that is seen of the demo, until its end or a signal.
async fn show(stage: &Stage, started: Instant, arguments: &Arguments, signals: &mut Signals) -> Result<(), Failure> {
    let unwritable = |error: io::Error| Failure::failed(format_args!("cannot write to stdout: {error}"));
    let mut out = anstream::stdout();
    report::introduction(&mut out, stage, started.elapsed()).map_err(unwritable)?;
    let totals = tokio::select! {
        totals = steps(&mut out, stage) => totals?,
        signal = signals.next() => return Err(Failure::failed(format_args!("ended by {signal} before all calls were made"))),
    };
    report::conclusion(&mut out, &totals).map_err(unwritable)?;
    if !arguments.once {
        by_hand::show(&mut out, stage).map_err(unwritable)?;
        signals.next().await;
    }
    if totals.deviating == 0 { Ok(()) } else { Err(Failure::Failed) }
}

async fn steps(out: &mut impl Write, stage: &Stage) -> Result<Totals, Failure> {
    let client = call::client().map_err(|error| Failure::failed(format_args!("no HTTP client could be made: {error}")))?;
    let mut totals = Totals::default();
    for (index, step) in STEPS.iter().enumerate() {
        let seen = step.make(&client, stage).await;
        let deviations = step.deviations(&seen);
        totals.add(&seen, &deviations);
        report::step(out, index + 1, step, &seen, &deviations)
            .map_err(|error| Failure::failed(format_args!("cannot write to stdout: {error}")))?;
    }
    Ok(totals)
}
