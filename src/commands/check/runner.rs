//! Checks are values: what they are about, what they wait for, and how they are done. Here they are carried out, side by side.

use std::collections::HashMap;
use std::pin::Pin;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::finding::{Finding, Name, Verdict};
use super::progress::Progress;

/// One thing that is looked at.
pub(super) struct Check {
    pub(super) name: Name,
    /// What is done, for a reader: `looking up test.maskinporten.no`.
    pub(super) tried: String,
    pub(super) needs: Vec<Need>,
    /// Does it. Nothing is done before it is polled.
    pub(super) work: Work,
}

pub(super) type Work = Pin<Box<dyn Future<Output = Vec<Finding>> + Send>>;

/// What a check waits for. A warning hinders nobody.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// Skipped unless this one went well.
    Success(Name),
    /// Skipped when this one failed, and not when it was skipped.
    NoFailure(Name),
    /// Waits until this one is over, however it ended.
    End(Name),
}

impl Need {
    fn name(&self) -> &Name {
        match self {
            Self::Success(name) | Self::NoFailure(name) | Self::End(name) => name,
        }
    }
}

impl Check {
    pub(super) fn new(name: Name, tried: impl Into<String>, work: impl Future<Output = Vec<Finding>> + Send + 'static) -> Self {
        Self { name, tried: tried.into(), needs: Vec::new(), work: Box::pin(work) }
    }

    /// A check whose result is known already.
    pub(super) fn known(name: Name, tried: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self::new(name, tried, async { findings })
    }

    pub(super) fn needing(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }
}

/// A check that is over.
pub(super) struct Done {
    pub(super) name: Name,
    pub(super) tried: String,
    pub(super) findings: Vec<Finding>,
}

/// What is said of a check that was not begun.
pub(super) const NOT_TRIED: &str = "not tried";

/// How a check ended, for those that wait for it.
#[derive(Clone, Debug)]
enum End {
    Well,
    Failed(Name),
    /// With what it had to wait for itself: who waits for it learns of the cause, not of a chain.
    Skipped(String),
}

/// Carries all of them out, and tells of them in their order. What is not over at the deadline has failed.
pub(super) async fn run(checks: Vec<Check>, deadline: Instant, progress: &Progress) -> Vec<Done> {
    let (senders, receivers): (Vec<_>, Vec<_>) = checks.iter().map(|_| watch::channel(None)).unzip();
    let by_name: HashMap<Name, watch::Receiver<Option<End>>> =
        checks.iter().zip(receivers).map(|(check, receiver)| (check.name.clone(), receiver)).collect();
    let mut running = Vec::with_capacity(checks.len());
    for (check, sender) in checks.into_iter().zip(senders) {
        let Check { name, tried, needs, work } = check;
        let needs = needs.into_iter().filter_map(|need| Some((by_name.get(need.name())?.clone(), need))).collect();
        let (progress, named) = (progress.clone(), name.clone());
        let task = tokio::spawn(async move {
            let findings = if let Some(because) = hindrance(needs, deadline).await {
                vec![Finding::skipped(because, NOT_TRIED)]
            } else {
                let _under_way = progress.begin(&named);
                timeout_at(deadline, work).await.unwrap_or_else(|_| vec![out_of_time()])
            };
            sender.send_replace(Some(end(&named, &findings)));
            findings
        });
        running.push((name, tried, task));
    }
    let mut done = Vec::with_capacity(running.len());
    for (name, tried, task) in running {
        let findings = task.await.unwrap_or_else(|_| vec![defect()]);
        done.push(Done { name, tried, findings });
    }
    done
}

/// Waits for all that a check waits for. What keeps it from being done, if something does: the first in the order of its needs, or what
/// it waited for until no time was left.
async fn hindrance(needs: Vec<(watch::Receiver<Option<End>>, Need)>, deadline: Instant) -> Option<String> {
    let (mut hindrance, mut last) = (None, None);
    for (mut receiver, need) in needs {
        // The sender is dropped without a word only when its task panics.
        let end = receiver.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        let end = end.unwrap_or_else(|| End::Failed(need.name().clone()));
        let because = match (end, &need) {
            (End::Failed(name), Need::Success(_) | Need::NoFailure(_)) => Some(name.to_string()),
            (End::Skipped(because), Need::Success(_)) => Some(because),
            (End::Failed(name), Need::End(_)) => {
                last = last.or_else(|| Some(name.to_string()));
                None
            }
            (End::Well | End::Skipped(_), _) => None,
        };
        hindrance = hindrance.or(because);
    }
    hindrance.or_else(|| last.filter(|_| Instant::now() >= deadline))
}

fn end(name: &Name, findings: &[Finding]) -> End {
    match findings.iter().max_by_key(|finding| finding.verdict) {
        Some(worst) if worst.verdict == Verdict::Failed => End::Failed(name.clone()),
        Some(worst) if worst.verdict == Verdict::Skipped => End::Skipped(worst.because.clone().unwrap_or_else(|| name.to_string())),
        _ => End::Well,
    }
}

fn out_of_time() -> Finding {
    Finding::failed(
        "the time for all checks was over before it ended",
        "Give it more time with --timeout, or check less at once with --integration.",
    )
}

fn defect() -> Finding {
    Finding::failed("the check itself failed: this is a defect of Portvakt's", "Report it, with this report.")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Stage;
    use super::*;

    fn name(subject: &str) -> Name {
        Stage::Keys.of(subject)
    }

    async fn verdicts(checks: Vec<Check>) -> Vec<(String, Verdict, Option<String>)> {
        let deadline = Instant::now() + Duration::from_millis(200);
        let done = run(checks, deadline, &Progress::silent()).await;
        done.into_iter().map(|done| (done.name.subject, done.findings[0].verdict, done.findings[0].because.clone())).collect()
    }

    #[tokio::test]
    async fn what_depends_on_a_failure_is_skipped_because_of_its_cause() {
        let checks = vec![
            Check::known(name("last"), "", vec![Finding::ok("")]).needing([Need::Success(name("second"))]),
            Check::known(name("second"), "", vec![Finding::ok("")]).needing([Need::Success(name("first"))]),
            Check::known(name("first"), "", vec![Finding::failed("", "")]),
            Check::known(name("unless"), "", vec![Finding::ok("")]).needing([Need::NoFailure(name("second"))]),
            Check::known(name("unless failed"), "", vec![Finding::ok("")]).needing([Need::NoFailure(name("first"))]),
            Check::known(name("after"), "", vec![Finding::ok("")]).needing([Need::End(name("first"))]),
            Check::known(name("warned"), "", vec![Finding::warning("", "")]),
            Check::known(name("unhindered"), "", vec![Finding::ok("")]).needing([Need::Success(name("warned"))]),
        ];
        let because = Some("keys first".to_owned());
        let expected = [
            ("last", Verdict::Skipped, because.clone()),
            ("second", Verdict::Skipped, because.clone()),
            ("first", Verdict::Failed, None),
            ("unless", Verdict::Ok, None),
            ("unless failed", Verdict::Skipped, because),
            ("after", Verdict::Ok, None),
            ("warned", Verdict::Warning, None),
            ("unhindered", Verdict::Ok, None),
        ];
        assert_eq!(verdicts(checks).await, expected.map(|(name, verdict, because)| (name.to_owned(), verdict, because)));
    }

    #[tokio::test]
    async fn the_deadline_and_a_defect_fail_one_check_and_not_the_others() {
        let checks = vec![
            Check::new(name("endless"), "", std::future::pending()),
            Check::new(name("broken"), "", async { panic!("as a defect would") }),
            Check::known(name("waits for it"), "", vec![Finding::ok("")]).needing([Need::Success(name("broken"))]),
            Check::known(name("other"), "", vec![Finding::ok("")]),
        ];
        let expected = [
            ("endless", Verdict::Failed, None),
            ("broken", Verdict::Failed, None),
            ("waits for it", Verdict::Skipped, Some("keys broken".to_owned())),
            ("other", Verdict::Ok, None),
        ];
        assert_eq!(verdicts(checks).await, expected.map(|(name, verdict, because)| (name.to_owned(), verdict, because)));
    }
}
