use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// What is held, told apart by its number.
#[derive(Clone, Debug)]
struct Item {
    number: usize,
    used: Rc<Cell<bool>>,
}

impl Item {
    fn new(number: usize) -> Self {
        Self { number, used: Rc::default() }
    }

    fn was_used(&self) -> bool {
        self.used.replace(false)
    }
}

const FIRST: Owner = Some(CallerId(0));
const SECOND: Owner = Some(CallerId(1));
const THIRD: Owner = Some(CallerId(2));

/// The numbers of those that went for this one.
fn put(shares: &mut Shares<Item>, owner: Owner, number: usize) -> Vec<usize> {
    let gone = std::iter::from_fn(|| shares.next_to_go(owner, 1, Item::was_used)).map(|item| item.number).collect();
    shares.insert(owner, 1, Item::new(number));
    gone
}

#[test]
fn who_is_alone_may_have_all_and_gives_way_until_all_have_a_share() {
    let mut shares = Shares::new(6, 3);
    for number in 0..6 {
        assert!(put(&mut shares, FIRST, number).is_empty());
    }
    assert_eq!(put(&mut shares, SECOND, 6), [0]);
    assert_eq!(put(&mut shares, SECOND, 7), [1]);
    // Over its share, though the first one still has more.
    assert_eq!(put(&mut shares, SECOND, 8), [6]);
    assert_eq!(put(&mut shares, THIRD, 9), [2]);
    assert_eq!(put(&mut shares, FIRST, 10), [3]);
    assert_eq!(put(&mut shares, THIRD, 11), [4]);
    assert_eq!(put(&mut shares, THIRD, 12), [9]);
}

#[test]
fn what_is_in_use_is_passed_over_once() {
    let mut shares = Shares::new(3, 1);
    let keys: Vec<_> = (0..3).map(|number| shares.insert(FIRST, 1, Item::new(number))).collect();
    for key in &keys[..2] {
        shares.get(*key).unwrap().used.set(true);
    }
    assert_eq!(put(&mut shares, FIRST, 3), [2]);
    assert_eq!(put(&mut shares, FIRST, 4), [0], "not used again since");
    let used = shares.get(keys[1]).unwrap();
    used.used.set(true);
    assert_eq!(put(&mut shares, FIRST, 5), [3]);
}

#[test]
fn no_more_are_passed_over_than_takes_a_moment() {
    let mut shares = Shares::new(3 * MOST_PASSED_OVER, 1);
    for number in 0..3 * MOST_PASSED_OVER {
        let item = Item::new(number);
        item.used.set(true);
        shares.insert(FIRST, 1, item);
    }
    assert_eq!(put(&mut shares, FIRST, usize::MAX), [MOST_PASSED_OVER]);
}

#[test]
fn what_is_larger_than_a_share_takes_a_share() {
    let mut shares = Shares::new(4, 2);
    put(&mut shares, FIRST, 0);
    put(&mut shares, FIRST, 1);
    assert!(shares.next_to_go(SECOND, 100, Item::was_used).is_none());
    shares.insert(SECOND, 100, Item::new(2));
    assert_eq!(put(&mut shares, SECOND, 3), [2]);
}

#[derive(Clone, Debug)]
enum Step {
    Put { owner: Owner, places: usize },
    Use(prop::sample::Index),
    Remove(prop::sample::Index),
    Resize { capacity: usize, callers: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::option::weighted(0.9, 0..4_u32), 1..4_usize)
            .prop_map(|(owner, places)| Step::Put { owner: owner.map(CallerId), places }),
        4 => any::<prop::sample::Index>().prop_map(Step::Use),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (0..16_usize, 4..6_usize).prop_map(|(capacity, callers)| Step::Resize { capacity, callers }),
    ]
}

/// The same by counting everything anew each time.
struct Model {
    capacity: usize,
    share: usize,
    /// With more callers than places, not everyone can have one.
    is_for_all: bool,
    queues: BTreeMap<Owner, VecDeque<(Item, usize)>>,
}

impl Model {
    fn resize(&mut self, capacity: usize, callers: usize) {
        self.capacity = capacity.max(1);
        self.share = (self.capacity / callers).max(1);
        self.is_for_all = callers <= self.capacity;
    }

    fn places(&self, owner: Owner) -> usize {
        self.queues.get(&owner).into_iter().flatten().map(|(_, places)| places).sum()
    }

    fn taken(&self) -> usize {
        self.queues.keys().map(|owner| self.places(*owner)).sum()
    }

    fn next_to_go(&mut self, owner: Owner, places: usize) -> Option<(Owner, usize)> {
        let places = places.min(self.share);
        let is_less_room = owner.is_none() && places == 0;
        if self.taken() + places <= self.capacity {
            return None;
        }
        let from = if self.places(None) > 0 || (owner.is_none() && !is_less_room) {
            None
        } else if self.places(owner) > 0 && self.places(owner) + places > self.share {
            owner
        } else {
            let most = self.queues.keys().map(|owner| self.places(*owner)).max()?;
            *self.queues.keys().find(|owner| self.places(**owner) == most)?
        };
        let queue = self.queues.get_mut(&from)?;
        while queue.front()?.0.used.replace(false) {
            queue.rotate_left(1);
        }
        Some((from, queue.pop_front()?.0.number))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn it_counts_as_the_model_does_and_nobody_is_pushed_below_a_share(steps in prop::collection::vec(step(), 1..120)) {
        let (mut shares, mut model) = (Shares::new(8, 4), Model { capacity: 8, share: 2, is_for_all: true, queues: BTreeMap::new() });
        // With the keys, and an item for the model whose use is its own.
        let mut there: Vec<(usize, Item, Item)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put { owner, places } => {
                    loop {
                        let before: BTreeMap<_, _> = model.queues.keys().map(|owner| (*owner, model.places(*owner))).collect();
                        let gone = shares.next_to_go(owner, places, Item::was_used).map(|item| item.number);
                        let expected = model.next_to_go(owner, places);
                        prop_assert_eq!(gone, expected.map(|(_, number)| number));
                        let Some((from, gone)) = expected else { break };
                        let was_over = from.is_none() || before[&from] > model.share;
                        prop_assert!(from == owner || was_over || !model.is_for_all, "{from:?} was within its share");
                        there.retain(|(_, item, _)| item.number != gone);
                    }
                    prop_assert_eq!(shares.may_put(owner, places), owner.is_some() || model.taken() + places.min(model.share) <= model.capacity);
                    if !shares.may_put(owner, places) {
                        continue;
                    }
                    let (item, same) = (Item::new(number), Item::new(number));
                    let key = shares.insert(owner, places, item.clone());
                    model.queues.entry(owner).or_default().push_back((same.clone(), places.min(model.share)));
                    there.push((key, item, same));
                }
                Step::Use(index) if !there.is_empty() => {
                    let (_, item, same) = index.get(&there);
                    item.used.set(true);
                    same.used.set(true);
                }
                Step::Remove(index) if !there.is_empty() => {
                    let (key, item, _) = there.remove(index.index(there.len()));
                    let (_, removed) = shares.remove(key).unwrap();
                    prop_assert_eq!(removed.number, item.number);
                    model.queues.values_mut().for_each(|queue| queue.retain(|(known, _)| known.number != item.number));
                }
                Step::Resize { capacity, callers } => {
                    shares.resize(capacity, callers);
                    model.resize(capacity, callers);
                    while let Some(gone) = shares.next_too_many(Item::was_used) {
                        prop_assert_eq!(Some(gone.number), model.next_to_go(None, 0).map(|(_, number)| number));
                        there.retain(|(_, item, _)| item.number != gone.number);
                    }
                    prop_assert!(model.next_to_go(None, 0).is_none());
                }
                Step::Use(_) | Step::Remove(_) => {}
            }
            prop_assert!(shares.taken <= shares.capacity);
            prop_assert_eq!((shares.taken, shares.len()), (model.taken(), there.len()));
            let owners = model.queues.values().filter(|queue| !queue.is_empty()).count();
            prop_assert_eq!(shares.queues.len(), owners, "who holds nothing is forgotten");
        }
    }
}
