//! What is shown of integrations and callers: those that are there, from 0 on.

use crate::scene::*;
use crate::support::*;
use crate::tokens::without_freg;

#[tokio::test]
async fn what_is_gone_is_not_shown_and_what_comes_begins_at_0() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    portvakt.ask().send().await.token();
    let granted = "portvakt_token_requests_total{caller=\"gateway\",integration=\"freg\",result=\"granted\"}";
    let exchanged = "portvakt_exchanges_total{code=\"none\",integration=\"freg\",result=\"granted\"}";
    let of_krr = "portvakt_certificate_expiry_timestamp_seconds{integration=\"krr\"}";
    let skew = "portvakt_clock_skew_seconds{environment=\"simulator\"}";
    assert_eq!((portvakt.metric(granted).await, portvakt.metric(exchanged).await), (Some(1.0), Some(1.0)));
    assert!(portvakt.metric(of_krr).await.is_some() && portvakt.metric(skew).await.is_some());

    reload(&portvakt, &without_freg(&text)).await;
    assert!(!portvakt.metrics().await.contains("\"freg\""));
    assert!(portvakt.metric(of_krr).await.is_some() && portvakt.metric(skew).await.is_some());
    // What was counted without an integration is counted on.
    let none = "portvakt_token_requests_total{caller=\"gateway\",integration=\"none\",result=\"refused\"}";
    assert_eq!(portvakt.ask().send().await.status, 403);
    assert_eq!(portvakt.metric(none).await, Some(1.0));

    reload(&portvakt, &text).await;
    assert_eq!((portvakt.metric(granted).await, portvakt.metric(exchanged).await), (Some(0.0), Some(0.0)));
    assert_eq!(portvakt.metric(none).await, Some(1.0));

    // Another caller, another name, another environment's name, and a registered key in the certificate's place.
    let other = text
        .replace("name = \"gateway\"", "name = \"gravitee\"")
        .replace("name = \"krr\"", "name = \"kontakt\"")
        .replace("integration = \"krr\"", "integration = \"kontakt\"")
        .replace("environment.simulator]", "environment.pretended]")
        .replace("environment = \"simulator\"", "environment = \"pretended\"")
        .replace(&format!("key = {}", configuration.krr_key), &freg_key(4096));
    reload(&portvakt, &other).await;
    let shown = portvakt.metrics().await;
    for gone in ["\"gateway\"", "\"krr\"", "\"simulator\"", "portvakt_certificate_expiry_timestamp_seconds{"] {
        assert!(!shown.contains(gone), "{gone}");
    }
    for there in ["\"gravitee\"", "\"kontakt\""] {
        assert!(shown.contains(there), "{there}");
    }
    portvakt.ask().send().await.token();
    assert!(portvakt.metric("portvakt_clock_skew_seconds{environment=\"pretended\"}").await.is_some());
}
