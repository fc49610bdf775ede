//! Another configuration without a restart: on SIGHUP, and when the operator's file or a file that it names has changed.
//!
//! All of it happens on a thread of its own: reading files and opening keys takes as long as it takes, and nobody waits for it.

mod difference;
mod inventory;
mod running;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::{fmt, io, thread};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::service_manager;
use super::start_error::StartError;
use crate::config::{Config, ConfigError, Loaded, Severity, SourceFile};
use difference::Difference;
pub(super) use running::{Prepared, Running};
use watch::Watch;

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the service waits for a reload that is in progress. A file system that hangs may hold it for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// SIGHUP, caught from its making on: it would otherwise kill a process that is just starting.
pub(super) struct Hangups {
    runtime: Runtime,
    signal: Signal,
}

impl Hangups {
    /// Catches it from now on.
    ///
    /// # Errors
    ///
    /// When the system does not let it be caught.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signal = {
            let _within = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self { runtime, signal })
    }
}

/// Why the configuration is read anew.
#[derive(Debug)]
enum Trigger {
    Hangup,
    Changed(Vec<PathBuf>),
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangup => f.write_str("SIGHUP"),
            Self::Changed(files) => {
                for (index, file) in files.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, file.display())?;
                }
                f.write_str(if files.len() == 1 { " has changed" } else { " have changed" })
            }
        }
    }
}

/// The thread that reloads. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Reloads {
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Reloads {
    /// `sources`: what the running configuration was read from.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(file: PathBuf, sources: Vec<SourceFile>, running: Arc<Running>, hangups: Hangups) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let reloading = Reloading { file, running, watch: Watch::new(sources) };
        thread::Builder::new().name("reload".to_owned()).spawn(move || {
            let Hangups { runtime, signal } = hangups;
            runtime.block_on(reloading.go_on(signal, stopped));
            drop(end);
        })?;
        Ok(Self { stop: Some(stop), ended })
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        drop(self.stop.take());
        // OpenSSL clears up at the end of the process, and would do so under a thread that opens a key.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// What the thread goes by.
struct Reloading {
    file: PathBuf,
    running: Arc<Running>,
    watch: Watch,
}

impl Reloading {
    async fn go_on(mut self, mut hangup: Signal, mut stopped: oneshot::Receiver<()>) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let trigger = tokio::select! {
                _ = &mut stopped => return,
                _ = hangup.recv() => Trigger::Hangup,
                _ = every.tick() => match self.watch.changed() {
                    Some(files) => Trigger::Changed(files),
                    None => continue,
                },
            };
            self.reload(&trigger);
        }
    }

    fn reload(&mut self, trigger: &Trigger) {
        service_manager::reloading();
        // A defect must not end reloading without a word: keys that are revoked later would stay valid.
        if catch_unwind(AssertUnwindSafe(|| self.take_on(trigger))).is_err() {
            self.running.reload_failed();
            error!(file = %self.file.display(), because = %trigger, remedy = "Restart Portvakt, and report this.", "not reloaded: a defect");
        }
        service_manager::ready(); // whatever came of it: it answers as before
    }

    fn take_on(&mut self, trigger: &Trigger) {
        // A pipe would hold this thread until somebody writes into it.
        if std::fs::metadata(&self.file).is_ok_and(|file| !file.is_file()) {
            let error = io::Error::other("it is not a regular file");
            self.running.reload_failed();
            self.watch.is_read();
            self.report_failure(&ConfigError::Unreadable { path: self.file.clone(), error }.into(), trigger);
            return;
        }
        let Loaded { config, sources } = Config::load_with_sources(&self.file);
        self.watch = Watch::new(sources);
        match config.map_err(StartError::from).and_then(|config| self.running.reload(&config)) {
            Ok(difference) => report(&difference, trigger),
            Err(error) => {
                self.running.reload_failed();
                self.report_failure(&error, trigger);
            }
        }
    }

    /// A line for each mistake, and one for all of it. Secrets are masked in them, as they are at the start.
    fn report_failure(&self, error: &StartError, trigger: &Trigger) {
        let mistakes = match error {
            StartError::Configuration(error) => error.mistakes(),
            _ => &[],
        };
        let file = self.file.display();
        for mistake in mistakes {
            let (line, column, remedy) = (mistake.line(), mistake.column(), mistake.help());
            match mistake.severity() {
                Severity::Error => error!(%file, line, column, error = mistake.text(), remedy, "a mistake in the configuration"),
                Severity::Warning => warn!(%file, line, column, error = mistake.text(), remedy, "a warning of the configuration"),
            }
        }
        let why = match error {
            StartError::Configuration(ConfigError::Mistakes(mistakes)) => {
                let errors = mistakes.iter().filter(|mistake| mistake.severity() == Severity::Error).count();
                if errors == 1 { "it has a mistake, see above".to_owned() } else { format!("it has {errors} mistakes, see above") }
            }
            error => error.to_string(),
        };
        error!(
            %file,
            because = %trigger,
            error = why,
            remedy = "Mend it: that it has changed is noticed by itself. Until then everything goes on as it was. portvakt check shows more.",
            "not reloaded: the configuration cannot be used"
        );
    }
}

fn report(difference: &Difference, trigger: &Trigger) {
    for waiting in difference.waiting_for_a_restart() {
        warn!(
            setting = waiting.setting,
            in_use = waiting.in_use,
            in_the_file = waiting.in_the_file,
            remedy = "Restart Portvakt, or write the old value again.",
            "a setting cannot change while the service runs"
        );
    }
    info!(because = %trigger, changes = %difference, "reloaded");
}
