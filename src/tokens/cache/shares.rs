//! Who has how much of the room, and what goes when there is no more of it.
//!
//! While there is room, anyone may use it. When there is none, who is at its share makes room of its own, and for who is below it the one
//! makes room that has the most: nobody is ever pushed below an equal share. Of one owner the least recently used goes first, about: what
//! was used since it was last looked at goes to the end of the queue instead. Nothing here is touched when a token is handed out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::quality::RandomState;
use slab::Slab;

use crate::tokens::request::CallerId;

/// So many that are in use are passed over for one that is not; then the next one goes all the same. Passing over takes time under a lock.
const MOST_PASSED_OVER: usize = 1000;
/// Marks the end of a queue.
const NONE: usize = usize::MAX;

/// What is held, by owner, in the order in which it would go.
#[derive(Debug)]
pub(super) struct Shares<Item> {
    capacity: usize,
    /// Of each caller that may ask.
    share: usize,
    taken: usize,
    held: Slab<Held<Item>>,
    /// Who holds nothing is not in it.
    queues: HashMap<Owner, Queue, RandomState>,
}

/// None: nobody. What belongs to nobody has no share, and goes first.
type Owner = Option<CallerId>;

/// One that is held. Its neighbours in its owner's queue are named by their keys, so that it can leave from anywhere.
#[derive(Debug)]
struct Held<Item> {
    item: Item,
    owner: Owner,
    places: usize,
    before: usize,
    after: usize,
}

/// First is what would go first.
#[derive(Debug)]
struct Queue {
    first: usize,
    last: usize,
    places: usize,
}

impl<Item> Shares<Item> {
    /// Room for `capacity`, shared by `callers`.
    pub(super) fn new(capacity: usize, callers: usize) -> Self {
        let mut shares = Self { capacity: 0, share: 0, taken: 0, held: Slab::new(), queues: HashMap::default() };
        shares.resize(capacity, callers);
        shares
    }

    /// Another room, or other callers. What is too much by that goes with [`Self::next_to_go`].
    pub(super) fn resize(&mut self, capacity: usize, callers: usize) {
        self.capacity = capacity.max(1);
        self.share = (self.capacity / callers.max(1)).max(1);
    }

    /// Takes one in, as the last of its owner's that would go. Room was made for it before. The key stays until it is removed.
    pub(super) fn insert(&mut self, owner: Owner, places: usize, item: Item) -> usize {
        let places = self.at_most_a_share(places);
        let key = self.held.insert(Held { item, owner, places, before: NONE, after: NONE });
        self.enqueue(key);
        key
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<(Owner, Item)> {
        self.dequeue(key);
        self.held.try_remove(key).map(|held| (held.owner, held.item))
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.queues.clear();
        self.taken = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Keys are below this.
    pub(super) fn end(&self) -> usize {
        self.held.capacity()
    }

    pub(super) fn get(&self, key: usize) -> Option<&Item> {
        self.held.get(key).map(|held| &held.item)
    }

    /// What has to go before `owner` may put something there that takes so many places; none when there is room, or when it has to do
    /// without. To be asked until then.
    pub(super) fn next_to_go(&mut self, owner: Owner, places: usize, was_used: impl Fn(&Item) -> bool) -> Option<Item> {
        let places = self.at_most_a_share(places);
        if self.has_room(places) {
            return None;
        }
        let own = self.queues.get(&owner).filter(|own| own.places + places > self.share);
        if self.queues.contains_key(&None) || owner.is_none() {
            self.first_of(None, was_used)
        } else if own.is_some() {
            self.first_of(owner, was_used)
        } else {
            self.first_of(self.largest()?, was_used)
        }
    }

    /// Whether `owner` may put something there now that takes so many places. What is nobody's makes no one give way.
    pub(super) fn may_put(&self, owner: Owner, places: usize) -> bool {
        owner.is_some() || self.has_room(self.at_most_a_share(places))
    }

    /// What has to go since there is less room; none when all fits. To be asked until then.
    pub(super) fn next_too_many(&mut self, was_used: impl Fn(&Item) -> bool) -> Option<Item> {
        if self.has_room(0) {
            return None;
        }
        let from = if self.queues.contains_key(&None) { None } else { self.largest()? };
        self.first_of(from, was_used)
    }

    fn has_room(&self, places: usize) -> bool {
        self.taken.saturating_add(places) <= self.capacity
    }

    /// Takes out the first of a queue that was not used since it was last looked at.
    fn first_of(&mut self, owner: Owner, was_used: impl Fn(&Item) -> bool) -> Option<Item> {
        for _ in 0..MOST_PASSED_OVER {
            let first = self.queues.get(&owner)?.first;
            if !was_used(&self.held.get(first)?.item) {
                break;
            }
            self.dequeue(first);
            self.enqueue(first);
        }
        let first = self.queues.get(&owner)?.first;
        self.remove(first).map(|(_, item)| item)
    }

    /// What is larger than a share would push out others' for ever.
    fn at_most_a_share(&self, places: usize) -> usize {
        places.min(self.share)
    }

    /// There are about as many owners as callers in the configuration: looking at each takes less than the exchange before.
    fn largest(&self) -> Option<Owner> {
        let largest = self.queues.iter().max_by_key(|(owner, queue)| (queue.places, Reverse(**owner)));
        largest.map(|(owner, _)| *owner)
    }

    fn enqueue(&mut self, key: usize) {
        let Some(held) = self.held.get_mut(key) else { return };
        let places = held.places;
        self.taken += places;
        match self.queues.entry(held.owner) {
            Entry::Vacant(vacant) => {
                (held.before, held.after) = (NONE, NONE);
                vacant.insert(Queue { first: key, last: key, places });
            }
            Entry::Occupied(mut queue) => {
                let queue = queue.get_mut();
                (held.before, held.after) = (queue.last, NONE);
                queue.places += places;
                if let Some(last) = self.held.get_mut(std::mem::replace(&mut queue.last, key)) {
                    last.after = key;
                }
            }
        }
    }

    fn dequeue(&mut self, key: usize) {
        let Some(&Held { owner, places, before, after, .. }) = self.held.get(key) else { return };
        self.taken -= places;
        if let Some(held) = self.held.get_mut(before) {
            held.after = after;
        }
        if let Some(held) = self.held.get_mut(after) {
            held.before = before;
        }
        if let Entry::Occupied(mut entry) = self.queues.entry(owner) {
            let queue = entry.get_mut();
            queue.places -= places;
            if queue.first == key {
                queue.first = after;
            }
            if queue.last == key {
                queue.last = before;
            }
            if queue.first == NONE {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
