//! Integrations that change their names and clients: whoever asks for one never gets another one's token.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator};

use crate::scene::*;
use crate::support::*;

const CLIENTS: [&str; 3] = ["client-one", "client-two", "client-three"];
const NAMES: [&str; 3] = ["a", "b", "c"];

/// All three with the same key: nothing but Portvakt keeps their tokens apart.
fn simulator_with_three() -> Simulator {
    let settings = (0..).zip(CLIENTS).fold(Settings::new(), |settings, (number, client)| {
        let bits = if number % 2 == 0 { 2048 } else { 4096 };
        let jwk = std::fs::read_to_string(certs(&format!("registered-{bits}.public.jwk"))).unwrap();
        settings.client(
            ClientSettings::new(client, "991825827")
                .scope(FREG_SCOPE)
                .key(RegisteredKey::from_jwk(&jwk.replace("portvakt-test", client)).unwrap()),
        )
    });
    Simulator::start(settings).unwrap()
}

/// Which client each name stands for; a name may be missing.
fn text(simulator: &Simulator, assigned: &[Option<usize>; 3]) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[management]\nlisten = \"127.0.0.1:0\"\n[environment.simulator]\nissuer = \"{}\"\ntoken_endpoint = \"{}\"\n",
        simulator.issuer(),
        simulator.token_endpoint()
    );
    let mut rules = Vec::new();
    for (name, client) in NAMES.iter().zip(assigned).filter_map(|(name, client)| Some((name, (*client)?))) {
        let bits = if client % 2 == 0 { 2048 } else { 4096 };
        let client = CLIENTS[client];
        let _ = write!(
            text,
            "[[integration]]\nname = \"{name}\"\nclient_id = \"{client}\"\nenvironment = \"simulator\"\nkey = {{ private_key_file = '{}', kid = \"{client}-{bits}\" }}\n",
            certs(&format!("registered-{bits}.pem")).display()
        );
        rules.push(format!("{{ integration = \"{name}\", scopes = [\"{FREG_SCOPE}\"] }}"));
    }
    text + &format!("[[caller]]\nname = \"gateway\"\nkeys = [{{ sha256 = \"{}\" }}]\nmay = [{}]\n", sha256(API_KEY), rules.join(", "))
}

/// Each name stands for another client, and at least one is there.
fn assignments() -> impl Strategy<Value = [Option<usize>; 3]> {
    let order = Just([0, 1, 2]).prop_shuffle();
    (order, prop::array::uniform3(prop::bool::weighted(0.8)), 0..3usize).prop_map(|(order, there, at_least)| {
        let mut assigned = [None; 3];
        for (place, assigned) in assigned.iter_mut().enumerate() {
            *assigned = (there[place] || place == at_least).then_some(order[place]);
        }
        assigned
    })
}

#[test]
fn nobody_gets_another_ones_token() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let simulator = simulator_with_three();
    let directory = tempfile::tempdir().unwrap();
    let first = [Some(0), Some(1), Some(2)];
    std::fs::write(directory.path().join("portvakt.toml"), text(&simulator, &first)).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let before = std::cell::Cell::new(first);
    runner
        .run(&assignments(), |assigned| {
            if assigned == before.replace(assigned) {
                return Ok(());
            }
            runtime.block_on(async {
                reload(&portvakt, &text(&simulator, &assigned)).await;
                for (name, client) in NAMES.iter().zip(assigned) {
                    let by_name = portvakt.ask().with("iss", name).send().await;
                    match client {
                        None => prop_assert_eq!(by_name.status, 403),
                        Some(client) => {
                            prop_assert_eq!(&claims(by_name.token())["client_id"], CLIENTS[client]);
                            let by_client_id = portvakt.ask().with("iss", CLIENTS[client]).send().await;
                            prop_assert_eq!(by_client_id.token(), by_name.token());
                        }
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}
