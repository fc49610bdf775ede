//! What a signed grant costs, next to the RSA signature alone.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench ends where something is wrong")]

mod support;

use std::time::SystemTime;

use criterion::{Criterion, criterion_group, criterion_main};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use portvakt::maskinporten::{Environment, GrantRequest, Scopes};

fn grant(criterion: &mut Criterion) {
    let scopes = Scopes::parse(support::SCOPE).unwrap();
    let request =
        GrantRequest { scopes: &scopes, resource: &[], consumer_org: None, iss_onbehalfof: None, authorization_details: None, pid: None };
    let mut group = criterion.benchmark_group("grant");
    for bits in [2048, 4096] {
        let client = support::client(bits, Environment::built_in("test").unwrap());
        group.bench_function(format!("RSA-{bits}"), |bencher| bencher.iter(|| client.grant(&request, SystemTime::now()).unwrap()));
        let path = format!("{}/certs/registered-{bits}.pem", env!("CARGO_MANIFEST_DIR"));
        let key = PKey::private_key_from_pem(&std::fs::read(path).unwrap()).unwrap();
        group.bench_function(format!("RSA-{bits}, the signature alone"), |bencher| {
            bencher.iter(|| Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(b"a short text").unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, grant);
criterion_main!(benches);
