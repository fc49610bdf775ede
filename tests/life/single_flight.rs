//! One exchange per token at a time, whoever asks and whoever hangs up.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use portvakt::simulator::FaultKind;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn a_thousand_callers_at_once_for_one_token_make_one_exchange() {
    raise_file_limit();
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    // Slow enough for all of them to be there before it ends.
    simulator.fault(FaultKind::Delay { milliseconds: 500 }).unwrap();
    let ask = portvakt.ask();
    let callers: JoinSet<_> = (0..1000).map(|_| ask.clone().send()).collect();
    let answers = callers.join_all().await;
    let tokens: HashSet<&str> = answers.iter().map(Answer::token).collect();
    assert_eq!((answers.len(), tokens.len()), (1000, 1));
    assert_eq!(simulator.counters().received, 1);
}

#[tokio::test]
async fn a_hundred_tokens_for_fifty_callers_each_make_a_hundred_exchanges() {
    raise_file_limit();
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let (ask, connections) = (portvakt.ask(), Arc::new(Semaphore::new(250)));
    let callers: JoinSet<_> = (0..100 * 50)
        .map(|number| {
            let (scope, connections) = (format!("test:{}", number / 50), Arc::clone(&connections));
            let ask = ask.clone().with("scope", &scope);
            async move {
                let _connection = connections.acquire().await.unwrap();
                (scope, ask.send().await.token().to_owned())
            }
        })
        .collect();
    let answers: HashSet<(String, String)> = callers.join_all().await.into_iter().collect();
    let tokens: HashSet<&str> = answers.iter().map(|(_, token)| token.as_str()).collect();
    assert_eq!((answers.len(), tokens.len()), (100, 100), "one token a scope, and no token for two");
    assert!(answers.iter().all(|(scope, token)| claims(token)["scope"] == scope.as_str()));
    let counters = simulator.counters();
    assert_eq!((counters.received, counters.issued, counters.duplicate_jtis), (100, 100, 0));
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_cancel_the_exchange_for_the_others() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Delay { milliseconds: 1000 }).unwrap();
    let mut first = TcpStream::connect(portvakt.tokens).unwrap();
    write!(first, "GET /token HTTP/1.1\r\nHost: a\r\nX-API-Key: {API_KEY}\r\niss: {FREG}\r\nscope: {FREG_SCOPE}\r\n\r\n").unwrap();
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    drop(first);
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(simulator.counters().received, 1);
}

#[tokio::test]
async fn when_all_callers_have_hung_up_the_token_is_there_for_the_next() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Delay { milliseconds: 300 }).unwrap();
    let impatient = tokio::time::timeout(Duration::ZERO, portvakt.ask().send());
    assert!(impatient.await.is_err());
    let asked = tokio::spawn(portvakt.ask().send());
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    asked.abort();
    simulator.wait_for_answers(1, PATIENCE).await.unwrap();
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(simulator.counters().received, 1);
}
