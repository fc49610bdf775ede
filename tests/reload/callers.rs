//! Who may ask, from the moment that a reload is told of.

use std::io::Write;
use std::net::TcpStream;

use crate::scene::*;
use crate::support::*;

#[tokio::test]
async fn keys_networks_and_rules_count_from_that_moment() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let token = portvakt.ask().send().await.token().to_owned();
    let digest = |key: &str| sha256(key)[..8].to_owned();
    let cases: Vec<(String, String, u16, &str)> = vec![
        (
            text.replace(&sha256(API_KEY), &sha256("another-key")),
            format!("caller gateway: API key {} added; caller gateway: API key {} removed", digest("another-key"), digest(API_KEY)),
            401,
            "invalid_client",
        ),
        (
            text.replace(
                &format!("{{ sha256 = \"{}\" }}", sha256(API_KEY)),
                &format!("{{ sha256 = \"{}\", expires = 2020-01-01 }}", sha256(API_KEY)),
            ),
            "caller gateway: expires".to_owned(),
            401,
            "invalid_client",
        ),
        (
            text.replace("name = \"gateway\"", "name = \"gateway\"\nnetworks = [\"10.20.0.0/16\"]"),
            "caller gateway: networks".to_owned(),
            403,
            "access_denied",
        ),
        (text.replace("folkeregister:deling/*", "folkeregister:deling/x"), "caller gateway: may".to_owned(), 403, "invalid_scope"),
    ];
    for (other, expected, status, error) in cases {
        assert_eq!(reload(&portvakt, &other).await, expected);
        let refused = portvakt.ask().send().await;
        assert_eq!((refused.status, refused.error()), (status, error), "{expected}");
        reload(&portvakt, &text).await;
        assert_eq!(portvakt.ask().send().await.token(), token);
    }
    assert_eq!(simulator.counters().received, 1);
}

#[tokio::test]
async fn callers_come_and_go_and_the_others_stay() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let token = portvakt.ask().send().await.token().to_owned();
    let third = |name: &str| {
        format!(
            "[[caller]]\nname = \"{name}\"\nkeys = [{{ sha256 = \"{}\" }}]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]\n\n",
            sha256("third-key")
        )
    };
    let ask = portvakt.ask().with("X-Gravitee-Api-Key", "third-key");
    // In front of the others: nobody is known by a place in the file.
    let in_front = text.replacen("[[caller]]", &format!("{}[[caller]]", third("third")), 1);
    assert_eq!(reload(&portvakt, &in_front).await, "caller third added");
    for ask in [ask.clone(), portvakt.ask()] {
        assert_eq!(ask.send().await.token(), token);
    }
    assert_eq!(lines(&portvakt, 0, "may ask").last().unwrap()["caller"], "third");
    // The key changes hands.
    let fourth = in_front.replace("name = \"third\"", "name = \"fourth\"");
    assert_eq!(reload(&portvakt, &fourth).await, "caller fourth added; caller third removed");
    assert_eq!(ask.clone().send().await.token(), token);
    assert_eq!(reload(&portvakt, &text).await, "caller fourth removed");
    assert_eq!(ask.send().await.status, 401);
    assert_eq!(portvakt.ask().send().await.token(), token);
    let granted = |caller: &str| format!("portvakt_token_requests_total{{caller=\"{caller}\",integration=\"freg\",result=\"granted\"}}");
    assert_eq!(portvakt.metric(&granted("gateway")).await, Some(3.0));
}

/// Its head has come before, its body comes after.
#[tokio::test]
async fn a_request_that_is_still_coming_in_is_looked_at_as_it_is_then() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    portvakt.ask().send().await.token();
    let mut connection = TcpStream::connect(portvakt.tokens).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /token HTTP/1.1\r\nhost: a\r\nx-api-key: {API_KEY}\r\niss: {FREG}\r\nscope: {FREG_SCOPE}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    assert!(read_answer(&mut connection).starts_with("HTTP/1.1 100"));
    reload(&portvakt, &configuration.text().replace(&sha256(API_KEY), &sha256("another-key"))).await;
    connection.write_all(b"body").unwrap();
    let answer = read_answer(&mut connection);
    // On a slow machine the body may have been too long in coming.
    assert!(answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 400"), "{answer}");
}
