//! `[[integration]]`: clients at Maskinporten, with their keys and what is kept warm.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use super::checks::Names;
use super::findings::Findings;
use super::mistake::Place;
use super::reader::{Field, Item, Table, listed, nearest, quotable};
use super::sections::Environments;
use super::{File, Integration, Key, KeySource, Prefetch, digest, secret_files, values};
use crate::maskinporten::Algorithm;

const NAME: Field = Field::new("name", "\"freg-test\"");
const CLIENT_ID: Field = Field::new("client_id", "\"2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11\"");
const ENVIRONMENT: Field = Field::new("environment", "\"test\"");
const ALGORITHM: Field = Field::new("algorithm", "\"RS256\"");
const GRANT_LIFETIME: Field = Field::new("grant_lifetime", "\"60s\"");
const PREFETCH: Field = Field::new("prefetch", "[\"folkeregister:deling/offentligutenhjemmel\"]");
const KEY: Field = Field::new("key", "{ pkcs12_file = \"virksomhet.p12\", password_file = \"virksomhet.pw\" }");

const SCOPE: Field = Field::new("scope", "\"folkeregister:deling/offentligutenhjemmel\"");
const CONSUMER_ORG: Field = Field::new("consumer_org", "\"889640782\"");
const RESOURCE: Field = Field::new("resource", "[\"https://api.example.no\"]");
const ISS_ONBEHALFOF: Field = Field::new("iss_onbehalfof", "\"889640782\"");

const PKCS12_FILE: Field = Field::new("pkcs12_file", "\"virksomhet.p12\"");
const CERTIFICATE_FILE: Field = Field::new("certificate_file", "\"virksomhet.pem\"");
const PRIVATE_KEY_FILE: Field = Field::new("private_key_file", "\"virksomhet.key\"");
const JWK_FILE: Field = Field::new("jwk_file", "\"key.jwk\"");
const PASSWORD_FILE: Field = Field::new("password_file", "\"virksomhet.pw\"");
const KID: Field = Field::new("kid", "\"my-key-2027\"");
const CERTIFICATE_SHA256: Field = Field::new("certificate_sha256", "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"");

const KEY_FORMS: &str =
    "write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }";
const DEFAULT_GRANT_LIFETIME: Duration = Duration::from_secs(60);
/// Maskinporten refuses a grant whose `exp` is later (maskinporten_protocol_jwtgrant).
const LONGEST_GRANT_LIFETIME: Duration = Duration::from_secs(120);
/// As many as the token endpoint takes of a caller.
const MOST_RESOURCES: usize = 8;

/// What an integration's tables are read with.
pub(super) struct Around<'a, 't> {
    pub(super) directory: &'a Path,
    pub(super) environments: &'a Environments<'t>,
    pub(super) names: &'a mut Names<'t>,
}

/// One `[[integration]]`.
pub(super) fn integration<'t>(mut table: Table<'t>, around: &mut Around<'_, 't>, findings: &mut Findings) -> Option<Integration> {
    let name = table.required(NAME, findings);
    let client_id = table.required(CLIENT_ID, findings);
    around.names.integration(name, client_id);
    let name = name.and_then(|item| values::issuer_name(item, findings));
    let (client_id, client_id_place) = (client_id.and_then(|item| values::issuer_name(item, findings)), client_id.map(|item| item.place));
    let environment = table.required(ENVIRONMENT, findings);
    let (environment, environment_place) =
        (environment.and_then(|item| around.environments.find(item, findings)), environment.map(|item| item.place));
    let algorithm = table.optional(ALGORITHM).map_or(Some(Algorithm::default()), |item| algorithm(item, findings));
    let grant_lifetime = table.optional(GRANT_LIFETIME).map_or(Some(DEFAULT_GRANT_LIFETIME), |item| grant_lifetime(item, findings));
    let prefetch = table.optional(PREFETCH).map_or_else(Vec::new, |item| prefetches(item, findings));
    let key = table.required(KEY, findings).and_then(|item| key(item, around.directory, findings));
    table.finish(findings);
    Some(Integration {
        name: name?.to_owned(),
        client_id: client_id?.to_owned(),
        environment: environment?,
        algorithm: algorithm?,
        grant_lifetime: grant_lifetime?,
        prefetch,
        key: key?,
        client_id_place: client_id_place?,
        environment_place: environment_place?,
    })
}

fn algorithm(item: Item<'_>, findings: &mut Findings) -> Option<Algorithm> {
    let text = item.text(findings)?;
    let algorithm = text.parse().ok();
    if algorithm.is_none() {
        let known = Algorithm::ALL.map(Algorithm::name);
        let help = nearest(text, &known).map_or_else(|| format!("write one of {}", listed(&known)), |known| format!("write \"{known}\""));
        findings.mistake(item.place, format!("`{}` is not an algorithm that Maskinporten takes", quotable(text)), help);
    }
    algorithm
}

fn grant_lifetime(item: Item<'_>, findings: &mut Findings) -> Option<Duration> {
    let lifetime = values::wait(item, findings)?;
    if lifetime > LONGEST_GRANT_LIFETIME {
        item.wrong("Maskinporten takes no grant that lives longer than 120 s", findings);
    } else if lifetime.subsec_nanos() != 0 {
        item.wrong("a grant's lifetime is in whole seconds", findings);
    } else {
        return Some(lifetime);
    }
    None
}

fn prefetches(item: Item<'_>, findings: &mut Findings) -> Vec<Prefetch> {
    let mut found: Vec<Prefetch> = Vec::new();
    for item in item.list(findings).unwrap_or_default() {
        let Some(prefetch) = prefetch(item, findings) else { continue };
        match found.iter().find(|earlier| is_same_token(earlier, &prefetch)) {
            Some(first) => {
                findings.conflict(
                    item.place,
                    "this token is kept warm already",
                    "leave one of the two out",
                    (first.place, "the other one"),
                );
            }
            None => found.push(prefetch),
        }
    }
    found
}

fn is_same_token(one: &Prefetch, other: &Prefetch) -> bool {
    (&one.scopes, &one.resource, &one.consumer_org, &one.iss_onbehalfof)
        == (&other.scopes, &other.resource, &other.consumer_org, &other.iss_onbehalfof)
}

fn prefetch(item: Item<'_>, findings: &mut Findings) -> Option<Prefetch> {
    if let Some(text) = item.as_text() {
        let scopes = values::scopes(text, item, findings)?;
        return Some(Prefetch { scopes, resource: Vec::new(), consumer_org: None, iss_onbehalfof: None, place: item.place });
    }
    let Some(mut table) = item.as_table("a prefetch") else {
        findings.mistake(item.place, "a prefetch is a scope, as text, or a table with its `scope`", PREFETCH.help());
        return None;
    };
    let scope = table.required(SCOPE, findings);
    let scopes = scope.and_then(|item| values::scopes(item.text(findings)?, item, findings));
    let resource = table.optional(RESOURCE).map_or_else(Vec::new, |item| resources(item, findings));
    let organisation = table.optional(CONSUMER_ORG);
    let on_behalf_of = table.optional(ISS_ONBEHALFOF);
    table.finish(findings);
    if let (Some(first), Some(second)) = (organisation, on_behalf_of) {
        let text = "`consumer_org` and `iss_onbehalfof` together: Maskinporten takes one of them";
        findings.conflict(second.place, text, "leave one of the two out", (first.place, "the other one"));
    }
    let text_if = |item: Option<Item<'_>>, good: fn(&str, Item<'_>, &mut Findings) -> bool, findings: &mut Findings| {
        let item = item?;
        let text = item.text(findings)?;
        good(text, item, findings).then(|| text.to_owned())
    };
    let consumer_org = text_if(organisation, values::organisation_number, findings);
    let iss_onbehalfof = text_if(on_behalf_of, values::header_value, findings);
    Some(Prefetch { scopes: scopes?, resource, consumer_org, iss_onbehalfof, place: item.place })
}

fn resources(item: Item<'_>, findings: &mut Findings) -> Vec<String> {
    let texts = item.texts(findings).unwrap_or_default();
    if texts.len() > MOST_RESOURCES {
        item.wrong(format!("{} resources, and {MOST_RESOURCES} are the most", texts.len()), findings);
    }
    let good = texts.into_iter().filter(|(text, item)| values::header_value(text, *item, findings));
    good.map(|(text, _)| text.to_owned()).collect()
}

/// What a `key = { … }` has, whatever its form.
struct KeyItems<'t> {
    pkcs12: Option<Item<'t>>,
    certificate: Option<Item<'t>>,
    private_key: Option<Item<'t>>,
    jwk: Option<Item<'t>>,
    password: Option<Item<'t>>,
    kid: Option<Item<'t>>,
    certificate_sha256: Option<Item<'t>>,
}

/// The forms of a key, before its files are read.
enum KeyForm<'t> {
    Pkcs12(Item<'t>),
    Certificate(Item<'t>, Item<'t>),
    Registered(Item<'t>, Item<'t>),
    Jwk(Item<'t>),
}

fn key(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<Key> {
    let Some(mut table) = item.as_table("`key`") else {
        if item.as_text().is_some() {
            findings.secret(item.place);
        }
        findings.mistake(item.place, "`key` must be a table that says in which file the key is", KEY_FORMS);
        return None;
    };
    let items = KeyItems {
        pkcs12: table.optional(PKCS12_FILE),
        certificate: table.optional(CERTIFICATE_FILE),
        private_key: table.optional(PRIVATE_KEY_FILE),
        jwk: table.optional(JWK_FILE),
        password: table.optional(PASSWORD_FILE),
        kid: table.optional(KID),
        certificate_sha256: table.optional(CERTIFICATE_SHA256),
    };
    if !table.finish(findings) {
        return None; // an unknown key may be what the form lacks
    }
    let form = items.form(item.place, findings)?;
    items.refuse_strangers(&form, findings);
    let source = items.read(&form, directory, findings)?;
    Some(Key { source, place: item.place })
}

impl<'t> KeyItems<'t> {
    fn form(&self, place: Place, findings: &mut Findings) -> Option<KeyForm<'t>> {
        let text = match (self.pkcs12, self.certificate, self.private_key, self.jwk, self.kid) {
            (Some(pkcs12), None, None, None, None) => return Some(KeyForm::Pkcs12(pkcs12)),
            (None, Some(certificate), Some(private_key), None, None) => return Some(KeyForm::Certificate(certificate, private_key)),
            (None, None, Some(private_key), None, Some(kid)) => return Some(KeyForm::Registered(private_key, kid)),
            (None, None, None, Some(jwk), None) => return Some(KeyForm::Jwk(jwk)),
            (None, None, None, None, _) => "this key names no file that holds it",
            (None, Some(_), None, None, None) => "`certificate_file` without the `private_key_file` that belongs to it",
            (None, None, Some(_), None, None) => {
                "`private_key_file` alone: a registered key needs its `kid`, a certificate's key its `certificate_file`"
            }
            (None, Some(_), _, None, Some(_)) => {
                "`kid` beside a certificate: a client with a registered key signs with its `kid`, any other with its certificate"
            }
            (None, None, None, Some(_), Some(_)) => "`kid` beside `jwk_file`: a JWK has its own `kid`",
            _ => "this key mixes several forms",
        };
        findings.missing(place, text, KEY_FORMS);
        None
    }

    /// What belongs to another form than this one would do nothing.
    fn refuse_strangers(&self, form: &KeyForm<'_>, findings: &mut Findings) {
        if let (Some(password), KeyForm::Jwk(_)) = (self.password, form) {
            findings.mistake(password.place, "`password_file` beside `jwk_file`: a JWK has no password", "leave `password_file` out");
        }
        match (self.certificate_sha256, form) {
            (None, _) | (_, KeyForm::Pkcs12(_)) => {}
            (Some(item), _) => {
                let text = "`certificate_sha256` chooses among the pairs of a `pkcs12_file`, and there is none";
                findings.mistake(item.place, text, "leave `certificate_sha256` out");
            }
        }
    }

    fn read(&self, form: &KeyForm<'_>, directory: &Path, findings: &mut Findings) -> Option<KeySource> {
        let password = self.password.map_or(Some(None), |item| secret_files::password(item, directory, findings).map(Some));
        let secret = |item: Item<'_>, findings: &mut Findings| -> Option<File> { secret_files::secret(item, directory, findings) };
        match *form {
            KeyForm::Pkcs12(item) => {
                let file = secret(item, findings);
                let chosen = self.certificate_sha256.map_or(Some(None), |item| certificate_sha256(item, findings).map(Some));
                let password = password?.unwrap_or_else(|| SecretString::from(String::new()));
                Some(KeySource::Pkcs12 { file: file?, password, certificate_sha256: chosen? })
            }
            KeyForm::Certificate(certificate, private_key) => {
                let certificate = secret_files::public(certificate, directory, findings);
                let private_key = secret(private_key, findings);
                Some(KeySource::Certificate { certificate: certificate?, private_key: private_key?, password: password? })
            }
            KeyForm::Registered(private_key, kid) => {
                let private_key = secret(private_key, findings);
                let kid = key_id(kid, findings);
                Some(KeySource::Registered { private_key: private_key?, password: password?, kid: kid? })
            }
            KeyForm::Jwk(item) => Some(KeySource::Jwk { file: secret(item, findings)? }),
        }
    }
}

fn key_id(item: Item<'_>, findings: &mut Findings) -> Option<String> {
    let text = item.text(findings)?;
    let usable = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    if !usable {
        item.wrong("`kid` is empty, begins or ends with a space, or has a control character", findings);
    }
    usable.then(|| text.to_owned())
}

fn certificate_sha256(item: Item<'_>, findings: &mut Findings) -> Option<[u8; 32]> {
    let text = item.text(findings)?;
    let sha256 = digest::from_hex(&text.replace(':', ""));
    if sha256.is_none() {
        let help = "write what `openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE` prints after the `=`";
        findings.mistake(item.place, "`certificate_sha256` is not a SHA-256: 64 hex digits", help);
    }
    sha256
}
