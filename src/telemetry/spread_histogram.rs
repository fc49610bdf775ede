//! A histogram that every request observes: threads do not wait for each other's processor caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, MetricFamily};
use prometheus::{Histogram, HistogramOpts};

/// More threads than this share a place with another one, which costs them time and nothing else.
const PLACES: usize = 8;

/// One histogram to whoever reads it. Each thread observes in its own part: an observation writes to four numbers in memory, which
/// threads that share them would take from each other's processor caches all the time.
#[derive(Clone, Debug)]
pub struct SpreadHistogram {
    /// As many as there are places.
    parts: Arc<[Histogram]>,
}

impl SpreadHistogram {
    /// The same options as for a histogram without labels.
    pub(super) fn new(options: &HistogramOpts) -> Result<Self, prometheus::Error> {
        let parts = (0..PLACES).map(|_| Histogram::with_opts(options.clone()));
        Ok(Self { parts: parts.collect::<Result<_, _>>()? })
    }

    /// Takes an observation in.
    pub fn observe(&self, value: f64) {
        if let Some(part) = self.parts.get(place()) {
            part.observe(value);
        }
    }
}

impl Collector for SpreadHistogram {
    fn desc(&self) -> Vec<&Desc> {
        self.parts.first().map(Collector::desc).unwrap_or_default()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.parts.iter().map(Collector::collect).reduce(|sum, part| added_up(sum, &part)).unwrap_or_default()
    }
}

/// This thread's place.
fn place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = THREADS.fetch_add(1, Relaxed) % PLACES;
    }
    PLACE.try_with(|place| *place).unwrap_or_default()
}

/// Both are of one histogram without labels, and so have one metric and the same buckets.
fn added_up(mut sum: Vec<MetricFamily>, part: &[MetricFamily]) -> Vec<MetricFamily> {
    for (sum, part) in sum.iter_mut().zip(part) {
        for (sum, part) in sum.mut_metric().iter_mut().zip(part.get_metric()) {
            let mut histogram = sum.get_histogram().clone();
            let more = part.get_histogram();
            histogram.set_sample_count(histogram.get_sample_count() + more.get_sample_count());
            histogram.set_sample_sum(histogram.get_sample_sum() + more.get_sample_sum());
            let buckets = histogram.get_bucket().iter().zip(more.get_bucket()).map(|(one, other)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(one.upper_bound());
                bucket.set_cumulative_count(one.cumulative_count() + other.cumulative_count());
                bucket
            });
            let buckets = buckets.collect();
            histogram.set_bucket(buckets);
            sum.set_histogram(histogram);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Encoder, Registry, TextEncoder};

    fn text(collector: impl Collector + 'static) -> String {
        let registry = Registry::new();
        registry.register(Box::new(collector)).unwrap();
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn it_reads_as_one_histogram_would() {
        let options = HistogramOpts::new("duration_seconds", "How long").buckets(vec![0.1, 1.0, 10.0]);
        let (spread, one) = (SpreadHistogram::new(&options).unwrap(), Histogram::with_opts(options).unwrap());
        std::thread::scope(|scope| {
            for thread in 0..2 * PLACES {
                let (spread, one) = (&spread, &one);
                scope.spawn(move || {
                    for value in [0.0625, 0.5, 0.5, 64.0] {
                        // Powers of two: their sum is the same in whatever order.
                        spread.observe(value * f64::from(u8::try_from(thread).unwrap() % 2 + 1));
                        one.observe(value * f64::from(u8::try_from(thread).unwrap() % 2 + 1));
                    }
                });
            }
        });
        assert_eq!(text(spread), text(one));
    }

    #[test]
    fn nothing_observed_is_nothing() {
        let options = HistogramOpts::new("duration_seconds", "How long").buckets(vec![0.1]);
        assert_eq!(text(SpreadHistogram::new(&options).unwrap()), text(Histogram::with_opts(options).unwrap()));
    }
}
