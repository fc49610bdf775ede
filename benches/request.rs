//! What reading a request costs: finding the caller by its key, and its scopes.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench ends where something is wrong")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use portvakt::maskinporten::Scopes;

fn key_lookup(criterion: &mut Criterion) {
    let simulator = support::simulator();
    let access = support::access(&support::service(&simulator));
    let mut group = criterion.benchmark_group("key look-up");
    group.bench_function("known", |bencher| bencher.iter(|| access.identify(black_box(support::API_KEY.as_bytes())).unwrap().id()));
    group.bench_function("unknown", |bencher| bencher.iter(|| access.identify(black_box(b"nobodys-key")).is_none()));
    group.finish();
}

fn scopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scopes");
    group.bench_function("one", |bencher| bencher.iter(|| Scopes::parse(black_box(support::SCOPE)).unwrap()));
    let four = "folkeregister:deling/offentligutenhjemmel folkeregister:deling/offentligmedhjemmel a:b a:c";
    group.bench_function("four", |bencher| bencher.iter(|| Scopes::parse(black_box(four)).unwrap()));
    group.finish();
}

criterion_group!(benches, key_lookup, scopes);
criterion_main!(benches);
