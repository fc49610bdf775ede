use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::*;
use crate::maskinporten::Scopes;
use crate::tokens::{CallerId, IntegrationId};

const LONG: Duration = Duration::from_secs(1000);

fn request(number: usize) -> TokenRequest {
    TokenRequest::new(IntegrationId(0), Scopes::parse(&format!("test:{number}")).unwrap())
}

fn token(owner: u32) -> Arc<Token> {
    Arc::new(Token::of(Some(CallerId(owner)), b"eyJ", LONG))
}

fn put(cache: &TokenCache, owner: u32, numbers: impl IntoIterator<Item = usize>) {
    numbers.into_iter().for_each(|number| cache.put(&request(number), &token(owner)));
}

/// Which of so many are there.
fn there(cache: &TokenCache, of: usize) -> Vec<usize> {
    let there: Vec<_> = (0..of).filter(|number| cache.get(&request(*number)).is_some()).collect();
    assert_eq!(cache.len(), there.len());
    assert_eq!(cache.tokens.len(), there.len());
    there
}

#[test]
fn a_renewal_keeps_the_owner_and_its_place_among_those_in_use() {
    let cache = TokenCache::new(4, 2, []);
    put(&cache, 0, 0..4);
    // Another's token for the same: it stays the first one's, who is over its share, and is now the last of its that goes.
    put(&cache, 1, [0]);
    put(&cache, 1, [4, 5]);
    assert_eq!(there(&cache, 6), [0, 3, 4, 5]);
    put(&cache, 1, [6]);
    assert_eq!(there(&cache, 7), [0, 3, 5, 6]);
}

#[test]
fn whoever_uses_a_token_it_is_passed_over() {
    let cache = TokenCache::new(3, 1, []);
    put(&cache, 0, 0..3);
    cache.get(&request(0)).unwrap().mark_in_use();
    put(&cache, 0, [3]);
    assert_eq!(there(&cache, 4), [0, 2, 3]);
}

#[test]
fn a_large_token_takes_the_room_of_several() {
    let cache = TokenCache::new(10, 2, []);
    put(&cache, 0, 0..10);
    let large = Token::of(Some(CallerId(1)), &[b'e'; 3 * PLACE], LONG);
    cache.put(&request(10), &Arc::new(large));
    assert_eq!(there(&cache, 11), [4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn what_has_ended_is_let_go_of_and_its_memory_too() {
    let cache = TokenCache::new(2 * LOOKED_AT, 1, [request(0)]);
    let ended: Vec<_> = (0..LOOKED_AT + 10).map(|_| Arc::new(Token::of(None, b"eyJ", Duration::ZERO))).collect();
    for (number, token) in ended.iter().enumerate() {
        cache.put(&request(number), token);
    }
    put(&cache, 0, [LOOKED_AT + 20]);
    assert_eq!(cache.tidy(), ended.len());
    assert_eq!(there(&cache, LOOKED_AT + 30), [LOOKED_AT + 20]);
    let held = ended.iter().filter(|token| Arc::strong_count(token) > 1).count();
    assert_eq!(held, 0, "nothing holds them any more");
    assert_eq!(cache.tidy(), 0);
    put(&cache, 0, [0]);
    assert_eq!(there(&cache, LOOKED_AT + 30), [0, LOOKED_AT + 20], "a prefetched token has its place again");
}

#[test]
fn what_is_prefetched_stands_outside_and_what_no_longer_is_belongs_to_nobody() {
    let cache = TokenCache::new(2, 1, [request(0), request(1)]);
    cache.put(&request(0), &Arc::new(Token::of(None, b"eyJ", LONG)));
    cache.put(&request(1), &Arc::new(Token::of(None, b"eyJ", LONG)));
    put(&cache, 0, 2..4);
    assert_eq!(there(&cache, 4), [0, 1, 2, 3]);
    // Token 1 is one among others now; token 3 is kept warm, and makes room by that.
    let third = cache.get(&request(3)).unwrap();
    cache.rearrange(2, 1, [request(0), request(3), request(9)]);
    assert_eq!(there(&cache, 4), [0, 1, 2, 3]);
    assert!(Arc::ptr_eq(&cache.get(&request(3)).unwrap(), &third));
    put(&cache, 0, [4]);
    assert_eq!(there(&cache, 5), [0, 2, 3, 4]);
    put(&cache, 0, [9]);
    assert_eq!(there(&cache, 10), [0, 2, 3, 4, 9]);
}

#[test]
fn whoever_is_handed_a_token_that_is_prefetched_no_more_sees_to_its_renewal() {
    let cache = TokenCache::new(2, 1, [request(0)]);
    let token = Arc::new(Token::of(None, b"eyJ", LONG));
    assert!(token.mark_served() && token.take_renewal());
    cache.put(&request(0), &token);
    cache.rearrange(2, 1, []);
    assert!(token.mark_served() && token.take_renewal());
}

#[test]
fn all_can_be_let_go_of() {
    let cache = TokenCache::new(3, 1, [request(0)]);
    put(&cache, 0, 0..4);
    cache.clear();
    assert_eq!(there(&cache, 4), [0; 0]);
    put(&cache, 0, 0..5);
    assert_eq!(there(&cache, 5), [0, 2, 3, 4]);
}

#[test]
fn with_less_room_who_has_the_most_gives_way() {
    let cache = TokenCache::new(10, 2, []);
    put(&cache, 0, 0..7);
    put(&cache, 1, 7..10);
    cache.rearrange(4, 2, []);
    assert_eq!(there(&cache, 10), [5, 6, 8, 9]);
    cache.rearrange(100, 2, []);
    put(&cache, 1, 10..100);
    assert_eq!(there(&cache, 100).len(), 94);
}

#[test]
fn answers_are_given_while_it_is_rearranged() {
    let cache = TokenCache::new(64, 2, []);
    put(&cache, 0, 0..8);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looked = 0_u32;
            while !done.load(Relaxed) || looked < 100 {
                assert!((0..8).all(|number| cache.get(&request(number)).is_some()));
                looked += 1;
            }
        });
        for round in 0..2000_usize {
            cache.rearrange(64 - round % 32, 1 + round % 3, (0..8).filter(|number| number % 3 == round % 3).map(request));
            put(&cache, 0, [round % 8]);
        }
        done.store(true, Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(there(&cache, 8).len(), 8);
}
