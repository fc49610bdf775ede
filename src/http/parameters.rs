//! What a request to `/token` says, from headers and query.

use std::borrow::Cow;

use actix_web::http::Uri;

use super::absence::Absence;
use super::error::Problem;
use super::head::{Field, Head};
use super::parameter_name::Name;
use crate::maskinporten::Scopes;
use crate::tokens::{AuthorizationDetails, Details, Private};

const ISS_LIMIT: usize = 256;
const SCOPE_LIMIT: usize = 4096;
const RESOURCE_LIMIT: usize = 2048;
const RESOURCES_LIMIT: usize = 8;
const AUTHORIZATION_DETAILS_LIMIT: usize = 8192;

/// What a request said, checked and normalised.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    pub(super) iss: Cow<'a, str>,
    pub(super) scopes: Scopes,
    pub(super) details: Option<Details>,
}

/// What was said so far, not yet looked into.
#[derive(Default)]
struct Said<'a> {
    iss: Value<'a>,
    scope: Value<'a>,
    consumer_org: Value<'a>,
    iss_onbehalfof: Value<'a>,
    authorization_details: Value<'a>,
    pid: Value<'a>,
    /// Repeatable, so each place has a list of its own: the two are compared as wholes.
    resource_headers: Vec<Cow<'a, str>>,
    resource_query: Vec<Cow<'a, str>>,
}

/// One parameter that can be said once: all that was said of it, as long as it is the same.
#[derive(Default)]
struct Value<'a> {
    text: Option<Cow<'a, str>>,
    absence: Option<Absence>,
}

impl<'a> Parameters<'a> {
    /// Reads headers and query.
    ///
    /// # Errors
    ///
    /// [`Problem::Parameter`] when one is missing, malformed, contradictory or too long. Never repeats what was sent.
    pub(super) fn of(head: &Head<'a>, target: &'a Uri) -> Result<Self, Problem> {
        let mut said = Said::default();
        said.read_headers(head)?;
        if let Some(query) = target.query() {
            said.read_query(query)?;
        }
        said.check()
    }
}

impl<'a> Said<'a> {
    fn read_headers(&mut self, head: &Head<'a>) -> Result<(), Problem> {
        for (field, value) in head.known() {
            let Field::Parameter(name) = field else { continue };
            let text = value.to_str().map_err(|_| not_printable(name))?;
            self.take(name, Cow::Borrowed(text.trim_ascii()), Place::Header)?;
        }
        Ok(())
    }

    fn read_query(&mut self, query: &'a str) -> Result<(), Problem> {
        // At the # of an expression that the gateway did not evaluate, the parser takes a fragment to begin, and drops it.
        let is_cut = query.ends_with('{');
        let mut pairs = form_urlencoded::parse(query.as_bytes()).peekable();
        while let Some((key, value)) = pairs.next() {
            let Some(name) = Name::of_header(&key) else { continue };
            let value = if is_cut && pairs.peek().is_none() { Cow::Owned(format!("{value}#")) } else { trimmed(value) };
            // With hyphens too: whoever writes it so means it, and must not get a token that says less.
            if matches!(name, Name::Pid | Name::AuthorizationDetails) {
                if Absence::of(value.as_bytes()).is_some() {
                    continue;
                }
                return Err(Problem::Parameter(format!(
                    "{} stands in the URL, where it can be logged on its way, and it can name a person. Send it as a header.",
                    name.as_str()
                )));
            }
            if name.as_str() != key {
                continue;
            }
            if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                return Err(not_printable(name));
            }
            self.take(name, value, Place::Query)?;
        }
        Ok(())
    }

    fn take(&mut self, name: Name, text: Cow<'a, str>, place: Place) -> Result<(), Problem> {
        let value = match name {
            Name::Resource => {
                let list = match place {
                    Place::Header => &mut self.resource_headers,
                    Place::Query => &mut self.resource_query,
                };
                if Absence::of(text.as_bytes()).is_none() && !list.contains(&text) {
                    list.push(text);
                }
                return Ok(());
            }
            Name::Iss => &mut self.iss,
            Name::Scope => &mut self.scope,
            Name::ConsumerOrg => &mut self.consumer_org,
            Name::IssOnBehalfOf => &mut self.iss_onbehalfof,
            Name::AuthorizationDetails => &mut self.authorization_details,
            Name::Pid => &mut self.pid,
        };
        value.take(name, text)
    }

    fn check(self) -> Result<Parameters<'a>, Problem> {
        let (iss, scope) = match (self.iss.text, self.scope.text) {
            (Some(iss), Some(scope)) => (iss, scope),
            // Of two that are missing, the one whose absence tells more of the cause.
            (None, None) if self.scope.absence > self.iss.absence => return Err(missing(Name::Scope, self.scope.absence)),
            (None, _) => return Err(missing(Name::Iss, self.iss.absence)),
            (Some(_), None) => return Err(missing(Name::Scope, self.scope.absence)),
        };
        within(&iss, ISS_LIMIT, Name::Iss)?;
        within(&scope, SCOPE_LIMIT, Name::Scope)?;
        let scopes = Scopes::parse(&scope).map_err(|error| {
            // The library's sentence is ours, with nothing in it of what was sent.
            Problem::Parameter(format!("scope is malformed: {error}. Send one scope, or several separated by spaces."))
        })?;
        let (headers, query) = (self.resource_headers, self.resource_query);
        let said_once = [&self.consumer_org, &self.iss_onbehalfof, &self.authorization_details, &self.pid];
        if headers.is_empty() && query.is_empty() && said_once.iter().all(|value| value.text.is_none()) {
            return Ok(Parameters { iss, scopes, details: None }); // as nearly every request has it
        }
        let details = Details {
            resource: resources(headers, query)?,
            consumer_org: digits(self.consumer_org, Name::ConsumerOrg, 9)?.map(|text| text.as_ref().into()),
            iss_onbehalfof: iss_onbehalfof(self.iss_onbehalfof)?.map(|text| text.as_ref().into()),
            authorization_details: authorization_details(self.authorization_details)?,
            pid: digits(self.pid, Name::Pid, 11)?.map(|text| Private::new(text.as_ref())),
        };
        if details.consumer_org.is_some() && details.iss_onbehalfof.is_some() {
            return Err(Problem::Parameter("consumer_org and iss_onbehalfof cannot be given together. Send one of them.".to_owned()));
        }
        Ok(Parameters { iss, scopes, details: Some(details) })
    }
}

#[derive(Clone, Copy)]
enum Place {
    Header,
    Query,
}

impl<'a> Value<'a> {
    fn take(&mut self, name: Name, text: Cow<'a, str>) -> Result<(), Problem> {
        if let Some(absence) = Absence::of(text.as_bytes()) {
            self.absence = self.absence.max(Some(absence));
            return Ok(());
        }
        match &self.text {
            Some(other) if !same(name, other, &text) => {
                Err(Problem::Parameter(format!("{} is given more than once, with different values. Send it once.", name.as_str())))
            }
            Some(_) => Ok(()),
            None => {
                self.text = Some(text);
                Ok(())
            }
        }
    }
}

/// Whether two texts say the same: scopes as sets, authorization details as JSON.
fn same(name: Name, one: &str, other: &str) -> bool {
    match name {
        _ if one == other => true,
        Name::Scope => matches!((Scopes::parse(one), Scopes::parse(other)), (Ok(one), Ok(other)) if one == other),
        Name::AuthorizationDetails => {
            let (one, other) = (AuthorizationDetails::parse(one), AuthorizationDetails::parse(other));
            matches!((one, other), (Ok(one), Ok(other)) if one == other)
        }
        _ => false,
    }
}

fn not_printable(name: Name) -> Problem {
    Problem::Parameter(format!("{} has characters other than printable ASCII. Send it in printable ASCII.", name.as_str()))
}

/// As the parser does with a header's value.
fn trimmed(value: Cow<'_, str>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
        Cow::Owned(text) if text.trim_ascii().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
    }
}

fn missing(name: Name, absence: Option<Absence>) -> Problem {
    let absence = absence.unwrap_or(Absence::NotSent);
    let cause = match name {
        Name::Iss => {
            "In the gateway, API property maskinporten_api_iss is probably not set; otherwise send the integration's client ID as iss."
        }
        _ => {
            "In the gateway, no flow of the plan has probably set attribute scope (policy assign-attributes); otherwise send the scope as scope."
        }
    };
    Problem::Parameter(format!("{} {absence}. {cause}", name.as_str()))
}

fn within(text: &str, limit: usize, name: Name) -> Result<(), Problem> {
    if text.len() > limit {
        return Err(Problem::Parameter(format!("{} is {} bytes long, more than the {limit} that are taken.", name.as_str(), text.len())));
    }
    Ok(())
}

fn digits(value: Value<'_>, name: Name, count: usize) -> Result<Option<Cow<'_, str>>, Problem> {
    match value.text {
        Some(text) if text.len() != count || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Problem::Parameter(format!("{} is malformed: it is {count} digits, and nothing else.", name.as_str())))
        }
        text => Ok(text),
    }
}

fn iss_onbehalfof(value: Value<'_>) -> Result<Option<Cow<'_, str>>, Problem> {
    if let Some(text) = &value.text {
        within(text, ISS_LIMIT, Name::IssOnBehalfOf)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::Parameter("iss_onbehalfof is malformed: it has printable ASCII characters without spaces.".to_owned()));
        }
    }
    Ok(value.text)
}

fn authorization_details(value: Value<'_>) -> Result<Option<AuthorizationDetails>, Problem> {
    let Some(text) = value.text else { return Ok(None) };
    within(&text, AUTHORIZATION_DETAILS_LIMIT, Name::AuthorizationDetails)?;
    AuthorizationDetails::parse(&text).map(Some).map_err(|error| {
        Problem::Parameter(format!(
            "authorization_details is malformed: {error}. Send a JSON array of objects, each with its type (RFC 9396)."
        ))
    })
}

fn resources(mut headers: Vec<Cow<'_, str>>, mut query: Vec<Cow<'_, str>>) -> Result<Vec<String>, Problem> {
    headers.sort_unstable();
    query.sort_unstable();
    if !headers.is_empty() && !query.is_empty() && headers != query {
        return Err(Problem::Parameter(
            "resource is given as header and in the query, with different values. Send it in one place.".to_owned(),
        ));
    }
    let all = if headers.is_empty() { query } else { headers };
    if all.len() > RESOURCES_LIMIT {
        return Err(Problem::Parameter(format!("resource is given {} times, more than the {RESOURCES_LIMIT} that are taken.", all.len())));
    }
    for resource in &all {
        within(resource, RESOURCE_LIMIT, Name::Resource)?;
        if !is_absolute_uri(resource) {
            return Err(Problem::Parameter(
                "resource is malformed: it is an absolute URI without a fragment (RFC 8707 section 2).".to_owned(),
            ));
        }
    }
    Ok(all.into_iter().map(Cow::into_owned).collect())
}

/// As far as RFC 8707 section 2 and RFC 3986 section 3.1 need it here: a scheme, something after it, no fragment, no spaces.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
}
