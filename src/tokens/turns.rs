//! Turns: so many exchanges at once, given to callers in rotation, so that one with a thousand tokens to fetch does not make the others wait
//! for all of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::request::CallerId;

/// The turns of one integration.
#[derive(Debug)]
pub(super) struct Turns(Arc<Mutex<Queue>>);

/// Whose turn it is. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Mutex<Queue>>>);

#[derive(Debug)]
struct Queue {
    free: usize,
    /// Counts who has waited, so that each is found again.
    number: u64,
    /// Those who wait, by caller, in the order in which they came. None: it is for no caller. Nobody is here with an empty queue.
    waiting: HashMap<Option<CallerId>, BTreeMap<u64, oneshot::Sender<Turn>>>,
    /// The same callers, the next one first.
    rotation: VecDeque<Option<CallerId>>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let queue = Queue { free: at_once, number: 0, waiting: HashMap::new(), rotation: VecDeque::new() };
        Self(Arc::new(Mutex::new(queue)))
    }

    /// A turn, when it comes. Who waits no more leaves no trace.
    pub(super) async fn take(&self, caller: Option<CallerId>) -> Turn {
        let (_place, turn) = {
            let mut queue = lock(&self.0);
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(Some(Arc::clone(&self.0)));
            }
            let (number, turn) = queue.join(caller);
            (Waiter { queue: &self.0, caller, number }, turn)
        };
        // A sender is dropped only by who waits, or when it has sent.
        turn.await.unwrap_or(Turn(None))
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing that can panic runs while it is held, so a poisoned lock guards a whole queue.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn join(&mut self, caller: Option<CallerId>) -> (u64, oneshot::Receiver<Turn>) {
        self.number += 1;
        let (sender, turn) = oneshot::channel();
        let of_caller = self.waiting.entry(caller).or_insert_with(|| {
            self.rotation.push_back(caller);
            BTreeMap::new()
        });
        of_caller.insert(self.number, sender);
        (self.number, turn)
    }

    fn leave(&mut self, caller: Option<CallerId>, number: u64) {
        if let Entry::Occupied(mut of_caller) = self.waiting.entry(caller) {
            of_caller.get_mut().remove(&number);
            if of_caller.get().is_empty() {
                of_caller.remove();
                self.rotation.retain(|other| *other != caller);
            }
        }
    }

    /// Who is next: the first one of the caller whose rotation it is.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let caller = self.rotation.pop_front()?;
        let Entry::Occupied(mut of_caller) = self.waiting.entry(caller) else { return None };
        let first = of_caller.get_mut().pop_first();
        if of_caller.get().is_empty() {
            of_caller.remove();
        } else {
            self.rotation.push_back(caller);
        }
        first.map(|(_, sender)| sender)
    }
}

/// Somebody who waits.
struct Waiter<'a> {
    queue: &'a Mutex<Queue>,
    caller: Option<CallerId>,
    number: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        lock(self.queue).leave(self.caller, self.number);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut queue = lock(&turns);
                let next = queue.next();
                queue.free += usize::from(next.is_none());
                next
            };
            // Sent without the lock, for a turn that is dropped takes it.
            match next.map(|next| next.send(Turn(Some(Arc::clone(&turns))))) {
                // Who was next has just left: somebody else is.
                Some(Err(mut turn)) => turn.0 = None,
                Some(Ok(())) | None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use proptest::prelude::*;

    type Taking<'a> = Pin<Box<dyn Future<Output = Turn> + 'a>>;

    /// The turn, if it has come.
    fn come(taking: &mut Taking<'_>) -> Option<Turn> {
        match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    fn taking(turns: &Turns, caller: u32) -> Taking<'_> {
        let mut taking: Taking<'_> = Box::pin(turns.take(Some(CallerId(caller))));
        assert!(come(&mut taking).is_none(), "there is none free");
        taking
    }

    fn is_as_new(turns: &Turns, at_once: usize) -> bool {
        let queue = lock(&turns.0);
        queue.free == at_once && queue.waiting.is_empty() && queue.rotation.is_empty()
    }

    #[test]
    fn callers_take_turns_and_each_ones_own_come_in_order() {
        let turns = Turns::new(1);
        let mut turn = come(&mut (Box::pin(turns.take(None)) as Taking<'_>));
        let mut waiting: Vec<(u32, u32, Taking<'_>)> = Vec::new();
        for (caller, number) in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (1, 4), (2, 2)] {
            waiting.push((caller, number, taking(&turns, caller)));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(turn.take());
            let mut place = 0;
            turn = waiting.iter_mut().enumerate().find_map(|(number, (_, _, taking))| {
                place = number;
                come(taking)
            });
            let (caller, number, _) = waiting.remove(place);
            order.push((caller, number));
        }
        assert_eq!(order, [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (1, 3), (1, 4)]);
        drop(turn);
        assert!(is_as_new(&turns, 1));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Ask(u32),
        /// Of those who wait.
        Leave(usize),
        /// Of those who have a turn.
        End(usize),
        Look,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (0..4_u32).prop_map(Event::Ask),
            1 => any::<usize>().prop_map(Event::Leave),
            2 => any::<usize>().prop_map(Event::End),
            2 => Just(Event::Look),
        ]
    }

    proptest! {
        #[test]
        fn there_are_never_more_at_once_and_no_turn_is_lost(
            at_once in 1..4_usize,
            events in proptest::collection::vec(event(), 0..120),
        ) {
            let turns = Turns::new(at_once);
            let mut waiting: Vec<Taking<'_>> = Vec::new();
            let mut running: Vec<Turn> = Vec::new();
            let look = |waiting: &mut Vec<Taking<'_>>, running: &mut Vec<Turn>| {
                waiting.retain_mut(|taking| come(taking).map(|turn| running.push(turn)).is_none());
            };
            for event in events {
                match event {
                    Event::Ask(caller) => waiting.push(Box::pin(turns.take(Some(CallerId(caller))))),
                    // Also one whose turn has come, and who does not know it yet.
                    Event::Leave(number) if !waiting.is_empty() => drop(waiting.swap_remove(number % waiting.len())),
                    Event::End(number) if !running.is_empty() => drop(running.swap_remove(number % running.len())),
                    Event::Leave(_) | Event::End(_) => {}
                    Event::Look => look(&mut waiting, &mut running),
                }
                prop_assert!(running.len() <= at_once);
            }
            look(&mut waiting, &mut running);
            prop_assert!(waiting.is_empty() || running.len() == at_once, "somebody waits although a turn is free");
            while !running.is_empty() {
                running.clear();
                look(&mut waiting, &mut running);
                prop_assert!(running.len() <= at_once);
            }
            prop_assert!(waiting.is_empty() && is_as_new(&turns, at_once));
        }
    }
}
