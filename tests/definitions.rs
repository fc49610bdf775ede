//! API definitions for Gravitee: `portvakt gravitee` prints one, `portvakt check --gravitee` finds what is wrong with one.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

const FREG: &str = "11111111-2222-3333-4444-555555555555";
const KRR: &str = "66666666-7777-8888-9999-000000000000";
const URL: &str = "http://portvakt.example.no:8080";
const API_KEY: &str = "a-key-that-nobody-is-to-see";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Integrations in test and production, and a caller that may have no more than its scopes.
fn installation() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let key = project().join("certs/registered-2048.pem");
    let integration = |name: &str, client_id: &str, environment: &str| {
        format!(
            "[[integration]]\nname = \"{name}\"\nclient_id = \"{client_id}\"\nenvironment = \"{environment}\"\nkey = {{ private_key_file = '{}', kid = \"portvakt-test-2048\" }}\n\n",
            key.display()
        )
    };
    let text = [
        "[server]\nlisten = \"127.0.0.1:0\"\n\n[management]\nlisten = \"127.0.0.1:0\"\n\n".to_owned(),
        integration("freg", FREG, "test"),
        integration("krr", KRR, "prod"),
        format!("[[caller]]\nname = \"gateway\"\nkeys = [{{ sha256 = \"{}\" }}]\n", "ab".repeat(32)),
        r#"may = [{ integration = "freg", scopes = ["folkeregister:deling/*"] }, { integration = "krr", scopes = ["krr:global/kontaktinformasjon.read"] }]"#.to_owned(),
    ];
    let file = directory.path().join("portvakt.toml");
    fs::write(&file, text.concat()).unwrap();
    (directory, file)
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn portvakt(config: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    command.args(arguments).arg("--config").arg(config).env_remove("PORTVAKT_LOG");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// What the check has to say of a definition: its result, what was found, and what to do.
fn checked(config: &Path, definition: &str) -> (Option<i32>, Vec<(String, String, String)>) {
    let file = config.with_file_name("definition.json");
    fs::write(&file, definition).unwrap();
    let said = portvakt(config, &["check", "--offline", "--format", "json", "--gravitee", file.to_str().unwrap()]);
    assert!(!format!("{}{}", said.out, said.err).contains(API_KEY), "{}{}", said.out, said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    let lines = report["checks"].as_array().unwrap().iter().filter(|line| line["stage"] == "gravitee");
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (said.code, lines.map(|line| (text(line, "result"), text(line, "found"), text(line, "remedy"))).collect())
}

/// A definition as an operator has it at the end: printed, and its key filled in and encrypted.
fn in_use(config: &Path, register: &str, integration: &str, version: &str) -> Value {
    let said = portvakt(config, &["gravitee", register, "--integration", integration, "--url", URL, "--definition-version", version]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut definition: Value = serde_json::from_str(&said.out).unwrap();
    let key = property(&mut definition, "maskinporten_api_key");
    key["value"] = json!("bm90IGEga2V5");
    key["encrypted"] = json!(true);
    definition
}

fn api(definition: &mut Value) -> &mut Value {
    if definition.get("api").is_some() { &mut definition["api"] } else { definition }
}

fn property<'a>(definition: &'a mut Value, key: &str) -> &'a mut Value {
    let properties = api(definition)["properties"].as_array_mut().unwrap();
    properties.iter_mut().find(|property| property["key"] == key).unwrap()
}

/// The steps of a flow of the API, whatever the version calls them.
fn steps(flow: &mut Value) -> &mut Vec<Value> {
    let name = if flow.get("pre").is_some() { "pre" } else { "request" };
    flow[name].as_array_mut().unwrap()
}

fn callout(definition: &mut Value) -> &mut Value {
    &mut steps(&mut api(definition)["flows"][0])[0]["configuration"]
}

fn header<'a>(definition: &'a mut Value, name: &str) -> &'a mut Value {
    let headers = callout(definition)["headers"].as_array_mut().unwrap();
    headers.iter_mut().find(|header| header["name"] == name).unwrap()
}

fn plan_step<'a>(definition: &'a mut Value, policy: &str) -> &'a mut Value {
    let steps = steps(&mut definition["plans"][0]["flows"][0]);
    steps.iter_mut().find(|step| step["policy"] == policy).unwrap()
}

fn scope(definition: &mut Value) -> &mut Value {
    &mut plan_step(definition, "policy-assign-attributes")["configuration"]["attributes"][0]["value"]
}

#[rstest]
fn a_printed_definition_differs_from_the_shipped_one_in_two_lines(
    #[values(("freg", "freg", "freg-test", FREG), ("krr", "krr", "krr-prod", KRR), ("krr", "freg", "krr-test", FREG), ("freg", "krr", "freg-prod", KRR))]
    which: (&str, &str, &str, &str),
    #[values("v2", "v4")] version: &str,
) {
    let (register, integration, shipped, client_id) = which;
    let (_directory, config) = installation();
    let said = portvakt(&config, &["gravitee", register, "--integration", integration, "--url", URL, "--definition-version", version]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("maskinporten_api_key"), "{}", said.err);
    let shipped = fs::read_to_string(project().join(format!("deploy/gravitee/{shipped}.{version}.json"))).unwrap();
    let changed: Vec<&str> = said.out.lines().zip(shipped.lines()).filter(|(new, old)| new != old).map(|(new, _)| new.trim()).collect();
    assert_eq!(said.out.lines().count(), shipped.lines().count());
    assert_eq!(changed, [format!("\"value\": \"{URL}/token\","), format!("\"value\": \"{client_id}\",")]);
}

#[rstest]
#[case(&["freg"], "choose one with --integration. There are: freg, krr")]
#[case(&["freg", "--integration", "fregg", "--url", URL], "no integration `fregg`")]
#[case(&["freg", "--integration", "freg", "--url", "portvakt.example.no"], "relative URL without a base")]
#[case(&["freg", "--integration", "freg", "--url", "ftp://portvakt.example.no"], "http:// or https://")]
#[case(&["freg", "--integration", "freg", "--url", "http://portvakt.example.no/tokens"], "give the address alone")]
#[case(&["skatt"], "possible values: freg, krr")]
fn what_cannot_be_printed_is_said(#[case] arguments: &[&str], #[case] words: &str) {
    let (_directory, config) = installation();
    let said = portvakt(&config, &[&["gravitee"], arguments].concat());
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
    assert!(said.err.contains(words), "{}", said.err);
}

#[test]
fn without_a_url_it_is_where_portvakt_listens() {
    let (_directory, config) = installation();
    let listen = |address: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let (_, rest) = text.split_once("[[integration]]").unwrap();
        fs::write(&config, format!("[server]\nlisten = \"{address}\"\n\n[[integration]]{rest}")).unwrap();
        portvakt(&config, &["gravitee", "freg", "--integration", "freg"])
    };
    let said = listen("127.0.0.1:8080");
    assert!(said.out.contains("\"http://127.0.0.1:8080/token\"") && said.err.contains("only a gateway on this machine"), "{}", said.err);
    let said = listen("10.20.0.7:8080");
    assert!(said.out.contains("\"http://10.20.0.7:8080/token\"") && !said.err.contains("only"), "{}", said.err);
    let said = listen("0.0.0.0:8080");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--url"), "{}", said.err);
}

#[rstest]
fn what_we_ship_passes_and_is_told_to_be_filled_in(
    #[values("freg-test", "freg-prod", "krr-test", "krr-prod")] name: &str,
    #[values("v2", "v4")] version: &str,
) {
    let (_directory, config) = installation();
    let shipped = fs::read_to_string(project().join(format!("deploy/gravitee/{name}.{version}.json"))).unwrap();
    let (code, said) = checked(&config, &shipped);
    assert_eq!(code, Some(0), "{said:#?}");
    let properties = ["portvakt_token_url", "maskinporten_api_key", "maskinporten_api_iss"];
    assert_eq!(said.len(), properties.len(), "{said:#?}");
    for key in properties {
        assert!(said.iter().any(|(result, found, _)| result == "warning" && *found == format!("the property {key} is not filled in yet")));
    }
}

#[rstest]
fn filled_in_there_is_nothing_to_say(#[values(("freg", "freg"), ("krr", "krr"))] which: (&str, &str), #[values("v2", "v4")] version: &str) {
    let (_directory, config) = installation();
    let definition = in_use(&config, which.0, which.1, version);
    let (code, said) = checked(&config, &definition.to_string());
    let [(result, found, _)] = said.as_slice() else { panic!("{said:#?}") };
    assert_eq!((code, result.as_str()), (Some(0), "ok"), "{found}");
    assert!(found.contains("Lesetilgang"), "{found}");
}

/// What an operator can break, and the words that name it.
type Break = (fn(&mut Value), &'static str, &'static str, &'static str);

const BREAKS: [Break; 22] = [
    (
        |d| api(d)["properties"].as_array_mut().unwrap().retain(|p| p["key"] != "maskinporten_api_iss"),
        "failed",
        "uses the property maskinporten_api_iss, which the definition does not have",
        "Add the property maskinporten_api_iss",
    ),
    (
        |d| property(d, "maskinporten_api_key")["value"] = json!(""),
        "failed",
        "the property maskinporten_api_key is empty",
        "portvakt api-key new",
    ),
    (|d| callout(d)["exitOnError"] = json!(false), "failed", "does not exit on error", "Switch Exit on error on"),
    (
        |d| property(d, "portvakt_token_url")["value"] = json!("http://portvakt.example.no:8080/tokens"),
        "failed",
        "`http://portvakt.example.no:8080/tokens`, which is not Portvakt's /token",
        "as the gateway reaches it",
    ),
    (
        |d| property(d, "portvakt_token_url")["value"] = json!("portvakt.example.no/token"),
        "failed",
        "`portvakt.example.no/token`, which is no URL",
        "such as http://",
    ),
    (|d| callout(d)["url"] = json!("ftp://portvakt.example.no/token"), "failed", "which is not http", "such as http://"),
    (
        |d| *scope(d) = json!("krr:global/kontaktinformasjon.read"),
        "failed",
        "no caller may ask `freg` for `krr:global/kontaktinformasjon.read`",
        "Add the scope to a rule",
    ),
    (|d| *scope(d) = json!("med \"hjemmel\""), "failed", "a plan asks for the scope", "Correct it in the plan"),
    (
        |d| plan_step(d, "policy-assign-attributes")["enabled"] = json!(false),
        "failed",
        "the plan `Lesetilgang uten hjemmel` sets no scope",
        "Assign attributes",
    ),
    (
        |d| {
            let key = property(d, "maskinporten_api_key");
            key["value"] = json!(API_KEY);
            key["encrypted"] = json!(false);
        },
        "failed",
        "the property maskinporten_api_key has the API key in plain text",
        "portvakt api-key new",
    ),
    (
        |d| header(d, "X-Gravitee-Api-Key")["value"] = json!(API_KEY),
        "failed",
        "has the API key in plain text, in its header X-Gravitee-Api-Key",
        "portvakt api-key new",
    ),
    (
        |d| property(d, "maskinporten_api_iss")["value"] = json!(API_KEY),
        "failed",
        "the iss that `Token from Portvakt` sends is no integration of this configuration",
        FREG,
    ),
    (|d| header(d, "iss")["name"] = json!("client_id"), "failed", "sends no iss", "Add the header iss"),
    (|d| header(d, "X-Request-Id")["name"] = json!("X-Other"), "warning", "sends no X-Request-Id", "{#request.id}"),
    (|d| callout(d)["method"] = json!("POST"), "warning", "asks with POST", "Use GET"),
    (|d| callout(d)["variables"] = json!([]), "failed", "keeps no token", "$.access_token"),
    (|d| callout(d)["fireAndForget"] = json!(true), "failed", "does not wait for the answer", "Fire & forget"),
    (
        |d| callout(d)["errorCondition"] = json!(""),
        "failed",
        "no error condition that looks at the status",
        "calloutResponse.status >= 400",
    ),
    (
        |d| callout(d)["errorContent"] = json!("{#jsonPath(#calloutResponse.content, '$.error_description')}"),
        "failed",
        "tells the consumer what Portvakt answered",
        "a fixed text",
    ),
    (
        |d| {
            let d = api(d);
            d["response_templates"] = json!({});
            d["responseTemplates"] = json!({});
            if d.get("gravitee").is_some() {
                d.as_object_mut().unwrap().remove("responseTemplates");
            } else {
                d.as_object_mut().unwrap().remove("response_templates");
            }
        },
        "warning",
        "no response template CALLOUT_HTTP_ERROR",
        "deploy/gravitee",
    ),
    (|d| steps(&mut api(d)["flows"][0])[1]["enabled"] = json!(false), "failed", "the token is not sent to the register", "Authorization"),
    (
        |d| steps(&mut api(d)["flows"][0])[0]["enabled"] = json!(false),
        "failed",
        "no HTTP Callout that is switched on asks for a token",
        "Add the policy",
    ),
];

#[rstest]
fn what_is_broken_is_found_and_nothing_else(#[values("v2", "v4")] version: &str) {
    let (_directory, config) = installation();
    for (break_it, result, words, remedy) in BREAKS {
        let mut definition = in_use(&config, "freg", "freg", version);
        break_it(&mut definition);
        let (code, said) = checked(&config, &definition.to_string());
        let [(found_result, found, found_remedy)] = said.as_slice() else { panic!("{words}: {said:#?}") };
        assert!(found.contains(words), "{words}: {found}");
        assert!(found_remedy.contains(remedy), "{remedy}: {found_remedy}");
        assert_eq!((found_result.as_str(), code), (result, Some(i32::from(result == "failed"))), "{found}");
    }
}

#[rstest]
fn a_consumers_key_that_goes_on_to_the_register_is_found(#[values("v2", "v4")] version: &str) {
    let (_directory, config) = installation();
    let mut definition = in_use(&config, "freg", "freg", version);
    let plan = &mut definition["plans"][0];
    if version == "v2" {
        plan["securityDefinition"] = json!(r#"{"propagateApiKey":true}"#);
    } else {
        plan["security"]["configuration"] = json!({"propagateApiKey": true});
    }
    let (code, said) = checked(&config, &definition.to_string());
    assert!(code == Some(1) && said[0].1.contains("sends the consumer's own API key on to the register"), "{said:#?}");
}

#[test]
fn the_sectors_back_end_of_krr_is_found() {
    let (_directory, config) = installation();
    let definition = in_use(&config, "krr", "krr", "v2").to_string();
    let (code, said) = checked(&config, &definition.replace("/rest/v1/", "/rest/"));
    assert!(code == Some(1) && said[0].1.contains("https://kontaktregisteret.no/rest/ lacks the API's version"), "{said:#?}");
}

#[rstest]
#[case("", "it is not JSON")]
#[case("[]", "it is neither an export of a v2 API")]
#[case(r#"{"gravitee":"1.0.0"}"#, "it is neither an export of a v2 API")]
#[case(r#"{"gravitee":"2.0.0","properties":7}"#, "it is not JSON")]
#[case(r#"{"api":{"definitionVersion":"V4","flows":[{"request":[null]}]}}"#, "it is not JSON")]
fn what_is_no_definition_is_said(#[case] text: &str, #[case] words: &str) {
    let (_directory, config) = installation();
    let (code, said) = checked(&config, text);
    assert!(code == Some(1) && said.len() == 1 && said[0].1.contains(words), "{said:#?}");
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let (_directory, config) = installation();
    let said = portvakt(&config, &["check", "--offline", "--gravitee", "nowhere.json"]);
    assert!(said.code == Some(1) && said.out.contains("it cannot be read"), "{}", said.out);
}
