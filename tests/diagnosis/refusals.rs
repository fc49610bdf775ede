//! What Maskinporten refuses: each of its codes, and each failure without one.

use portvakt::maskinporten::Cause;
use rstest::rstest;

use crate::columns::Expected;
use crate::scene::Scene;

#[rstest]
#[case::mp_011("MP-011", Cause::MalformedValue, &["client_id, line "])]
#[case::mp_012("MP-012", Cause::GrantUsedBefore, &[])]
#[case::mp_100("MP-100", Cause::ClientNotFound, &["asked is simulator (http://127.0.0.1:", "client_id, line ", "environment, line ", "Selvbetjening > Integrasjoner"])]
#[case::mp_110("MP-110", Cause::WrongAudience, &["The aud that was sent is http://127.0.0.1:", "environment, line "])]
#[case::mp_121("MP-121", Cause::ExpiredKey, &["kid portvakt-test-2048", "key, line ", " of portvakt.toml"])]
#[case::mp_124("MP-124", Cause::InvalidSignature, &["kid portvakt-test-2048", "thumbprint", "key, line "])]
#[case::mp_130("MP-130", Cause::GrantExpired, &[])]
#[case::mp_200("MP-200", Cause::ScopeNotRegistered, &["The scope is folkeregister:deling/offentligutenhjemmel.", "a caller's rule, line "])]
#[case::mp_201("MP-201", Cause::IntegrationType, &["The scope is folkeregister:deling/offentligutenhjemmel.", "a caller's rule, line "])]
#[case::mp_250("MP-250", Cause::ScopeNotGranted, &["The scope is folkeregister:deling/offentligutenhjemmel.", "a caller's rule, line "])]
#[case::mp_251("MP-251", Cause::ScopeNotDelegated, &["The scope is folkeregister:deling/offentligutenhjemmel.", "a caller's rule, line "])]
#[case::mp_301("MP-301", Cause::DetailsType, &[])]
#[case::mp_302("MP-302", Cause::DetailsField, &[])]
#[case::mp_303("MP-303", Cause::DetailsValue, &[])]
#[case::issue_time("issue-time-after-now", Cause::IssueTime, &[])]
#[case::iat("iat-out-of-tolerance", Cause::IssueTime, &[])]
#[case::own_consumer_org("own-consumer-org", Cause::OwnConsumerOrg, &[])]
#[case::unlisted("unknown-claim", Cause::Unlisted, &["Invalid assertion"])]
#[tokio::test]
async fn with_a_registered_key(#[case] name: &str, #[case] cause: Cause, #[case] facts: &'static [&'static str]) {
    Scene::refusal(name).is_named(&Expected { cause, refused: true, facts }).await;
}

#[rstest]
#[case::mp_120("MP-120", Cause::InvalidCertificate, &["The certificate was issued by ", "valid ", "asked is simulator", "key, line "])]
#[case::mp_122("MP-122", Cause::OtherOrganisation, &["The certificate's number is 991825827.", "key, line ", "client_id, line "])]
#[case::mp_123("MP-123", Cause::MalformedX5c, &["signed with the certificate of ", "key, line "])]
#[case::mp_124("MP-124", Cause::InvalidSignatureOfCertificate, &["signed with the certificate of ", "key, line "])]
#[case::kid_required("kid-required", Cause::KidRequired, &["signed with the certificate of ", "{ private_key_file, kid }", "key, line "])]
#[tokio::test]
async fn with_a_certificate(#[case] name: &str, #[case] cause: Cause, #[case] facts: &'static [&'static str]) {
    Scene::refusal(name).with_certificate().is_named(&Expected { cause, refused: true, facts }).await;
}
