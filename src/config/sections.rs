//! `[server]`, `[management]`, `[outbound]`, `[cache]` and `[environment.NAME]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use super::findings::Findings;
use super::mistake::Place;
use super::reader::{Field, Item, Table, listed, nearest, quotable};
use super::{Cache, Management, Outbound, Proxy, Server, secret_files, values};
use crate::maskinporten::{Environment, InvalidEnvironment};

const LISTEN: Field = Field::new("listen", "\"127.0.0.1:8080\"");
const SHUTDOWN_GRACE: Field = Field::new("shutdown_grace", "\"30s\"");
const SHUTDOWN_DELAY: Field = Field::new("shutdown_delay", "\"5s\"");
const MANAGEMENT_LISTEN: Field = Field::new("listen", "\"127.0.0.1:9464\"");
const CONNECT_TIMEOUT: Field = Field::new("connect_timeout", "\"2s\"");
const ATTEMPT_TIMEOUT: Field = Field::new("attempt_timeout", "\"4s\"");
const DEADLINE: Field = Field::new("deadline", "\"8s\"");
const PROXY: Field = Field::new("proxy", "\"http://proxy.example.no:3128\"");
const PROXY_USER: Field = Field::new("proxy_user", "\"portvakt\"");
const PROXY_PASSWORD_FILE: Field = Field::new("proxy_password_file", "\"proxy.pw\"");
const CA_FILE: Field = Field::new("ca_file", "\"extra-ca.pem\"");
const MAX_TOKENS: Field = Field::new("max_tokens", "100_000");
const ISSUER: Field = Field::new("issuer", "\"http://127.0.0.1:8090/\"");
const TOKEN_ENDPOINT: Field = Field::new("token_endpoint", "\"http://127.0.0.1:8090/token\"");

const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_SHUTDOWN_DELAY: Duration = Duration::ZERO;
const DEFAULT_MANAGEMENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(8);
const DEFAULT_MAX_TOKENS: u64 = 100_000;

/// `[server]` and `[management]`, which cannot listen at one address.
pub(super) fn listeners(server: Option<Table<'_>>, management: Option<Table<'_>>, findings: &mut Findings) -> Option<(Server, Management)> {
    let server = server.and_then(|mut table| {
        let item = table.required(LISTEN, findings);
        let listen = item.and_then(|item| values::address(item, findings));
        let grace = table.optional(SHUTDOWN_GRACE);
        let grace = grace.map_or(Some(DEFAULT_SHUTDOWN_GRACE), |item| values::duration(item, findings));
        let delay = table.optional(SHUTDOWN_DELAY);
        let delay = delay.map_or(Some(DEFAULT_SHUTDOWN_DELAY), |item| values::duration(item, findings));
        table.finish(findings);
        Some((Server { listen: listen?, shutdown_grace: grace?, shutdown_delay: delay? }, item?.place))
    });
    let management = management.and_then(|mut table| {
        let item = table.optional(MANAGEMENT_LISTEN);
        let listen = item.map_or(Some(DEFAULT_MANAGEMENT), |item| values::address(item, findings));
        table.finish(findings);
        Some((Management { listen: listen? }, item.map(|item| item.place)))
    });
    let ((server, server_place), (management, management_place)) = (server?, management?);
    if collide(server.listen, management.listen) {
        report_collision(&server, server_place, management_place, findings);
    }
    Some((server, management))
}

/// Whether the second listener would find its port taken: the addresses are equal, or one of them is all addresses.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_address
}

fn report_collision(server: &Server, server_place: Place, management_place: Option<Place>, findings: &mut Findings) {
    let port = server.listen.port();
    let text = format!("[server] and [management] cannot both listen on port {port} of the same address");
    match management_place {
        Some(place) => findings.conflict(place, text, "give [management] a port of its own", (server_place, "[server] listens here")),
        None => findings.mistake(
            server_place,
            format!("{text}: {DEFAULT_MANAGEMENT} is where [management] listens when the file does not say"),
            "take another port, or write `listen` in [management] too",
        ),
    }
}

/// `[outbound]`
pub(super) fn outbound(mut table: Table<'_>, directory: &Path, findings: &mut Findings) -> Option<Outbound> {
    let mut wait = |field, default| table.optional(field).map_or(Some(default), |item| values::wait(item, findings));
    let connect_timeout = wait(CONNECT_TIMEOUT, DEFAULT_CONNECT_TIMEOUT);
    let attempt_timeout = wait(ATTEMPT_TIMEOUT, DEFAULT_ATTEMPT_TIMEOUT);
    let deadline = wait(DEADLINE, DEFAULT_DEADLINE);
    let proxy = proxy(&mut table, directory, findings);
    let ca_file = table.optional(CA_FILE).and_then(|item| secret_files::public(item, directory, findings));
    table.finish(findings);
    Some(Outbound { connect_timeout: connect_timeout?, attempt_timeout: attempt_timeout?, deadline: deadline?, proxy, ca_file })
}

/// A mistake reads as no proxy; the file is refused anyway.
fn proxy(table: &mut Table<'_>, directory: &Path, findings: &mut Findings) -> Option<Proxy> {
    let (url, user, password) = (table.optional(PROXY), table.optional(PROXY_USER), table.optional(PROXY_PASSWORD_FILE));
    if let (None, Some(item)) = (url, user.or(password)) {
        findings.missing(item.place, format!("`{}` without `proxy`", item.field.name), PROXY.help());
    }
    let credentials = proxy_credentials(user, password, directory, findings);
    let url = url.and_then(|item| proxy_url(item, findings))?;
    Some(Proxy { url, credentials })
}

fn proxy_url(item: Item<'_>, findings: &mut Findings) -> Option<String> {
    let text = item.text(findings)?;
    if text.contains('@') {
        findings.secret(item.place);
        let help = "write the user as `proxy_user`, and the name of a file with the password as `proxy_password_file`";
        findings.mistake(item.place, "a user or password inside `proxy`", help);
        return None;
    }
    let usable = reqwest::Url::parse(text).is_ok_and(|url| {
        let alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && alone
    });
    if !usable {
        item.wrong(format!("`{}` is not an http or https URL with a host and a port alone", quotable(text)), findings);
    }
    usable.then(|| text.to_owned())
}

/// A mistake reads as no credentials; the file is refused anyway.
fn proxy_credentials(
    user: Option<Item<'_>>,
    password: Option<Item<'_>>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<(String, SecretString)> {
    match (user, password) {
        (Some(user), None) => findings.missing(user.place, "`proxy_user` without `proxy_password_file`", PROXY_PASSWORD_FILE.help()),
        (None, Some(password)) => findings.missing(password.place, "`proxy_password_file` without `proxy_user`", PROXY_USER.help()),
        _ => {}
    }
    let user = user.and_then(|item| proxy_user(item, findings));
    let password = password.and_then(|item| secret_files::password(item, directory, findings));
    user.zip(password)
}

/// RFC 7617 section 2: a user name has no colon and no control characters.
fn proxy_user(item: Item<'_>, findings: &mut Findings) -> Option<String> {
    let text = item.text(findings)?;
    let usable = !text.is_empty() && !text.contains(|character: char| character == ':' || character.is_control());
    if !usable {
        item.wrong("`proxy_user` is empty, or has a colon or a control character", findings);
    }
    usable.then(|| text.to_owned())
}

/// `[cache]`
pub(super) fn cache(mut table: Table<'_>, findings: &mut Findings) -> Option<Cache> {
    let max_tokens = table.optional(MAX_TOKENS).map_or(Some(DEFAULT_MAX_TOKENS), |item| item.count(findings));
    table.finish(findings);
    Some(Cache { max_tokens: max_tokens? })
}

/// The environments that an integration can name.
#[derive(Default)]
pub(super) struct Environments<'t> {
    usable: Vec<Environment>,
    /// Also those with a mistake, so that nobody is told that a name does not exist which stands in the file.
    named: Vec<&'t str>,
}

impl<'t> Environments<'t> {
    /// `[environment.NAME]`, all of them.
    pub(super) fn read(table: Table<'t>, findings: &mut Findings) -> Self {
        let mut environments = Self::default();
        for (name, place, table) in table.named_tables(findings) {
            environments.named.push(name);
            if Environment::built_in(name).is_some() {
                let built_in = listed(&Environment::BUILT_IN);
                findings.mistake(place, format!("`{name}` is built in"), format!("give it another name than {built_in}"));
            } else if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                let help = "write for example `[environment.simulator]`";
                findings.mistake(
                    place,
                    format!("`{}` cannot be an environment's name: printable ASCII without spaces", quotable(name)),
                    help,
                );
            }
            environments.usable.extend(environment(name, table, findings));
        }
        environments
    }

    /// The environment that `environment = "…"` names.
    pub(super) fn find(&self, item: Item<'_>, findings: &mut Findings) -> Option<Environment> {
        let name = item.text(findings)?;
        let own = || self.usable.iter().find(|environment| environment.name() == name).cloned();
        let found = Environment::built_in(name).or_else(own);
        if found.is_none() && !self.named.contains(&name) {
            let known: Vec<&str> = Environment::BUILT_IN.into_iter().chain(self.named.iter().copied()).collect();
            let help = match nearest(name, &known) {
                Some(known) => format!("write \"{}\"", quotable(known)),
                None => format!("known here: {}; another one is named by a table `[environment.NAME]`", quotable(&listed(&known))),
            };
            findings.missing(item.place, format!("there is no environment `{}`", quotable(name)), help);
        }
        found
    }
}

fn environment(name: &str, mut table: Table<'_>, findings: &mut Findings) -> Option<Environment> {
    let issuer = table.required(ISSUER, findings).and_then(|item| endpoint(name, item, findings));
    let token_endpoint = table.required(TOKEN_ENDPOINT, findings).and_then(|item| endpoint(name, item, findings));
    table.finish(findings);
    Environment::custom(name, issuer?, token_endpoint?).ok()
}

/// Each URL by itself, so that the mistake stands where the URL does.
fn endpoint<'t>(name: &str, item: Item<'t>, findings: &mut Findings) -> Option<&'t str> {
    let text = item.text(findings)?;
    match Environment::custom(name, text, text) {
        Ok(_) => Some(text),
        Err(error) => {
            let help = match error {
                InvalidEnvironment::PlainHttp(_) => "write `https://` in place of `http://`".to_owned(),
                InvalidEnvironment::NotAUrl(_) => item.field.help(),
            };
            findings.mistake(item.place, error.to_string(), help);
            None
        }
    }
}
