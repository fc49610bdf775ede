//! The control endpoint, `/_simulator`: faults in, counters out. Described in [the room's own page](super).

use std::time::Duration;

use actix_web::rt::time::timeout;
use actix_web::web::{self, Bytes, Data, Query, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::exchange::{Core, lock};
use super::faults::Fault;
use super::lifetimes::LifetimeChange;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/fault").get(faults).put(set_faults).delete(clear_faults))
        .service(web::resource("/lifetime").put(change_lifetime).delete(forget_lifetimes))
        .service(web::resource("/counters").get(counters).delete(reset_counters));
}

async fn set_faults(body: Bytes, core: Data<Core>) -> HttpResponse {
    // Not an untagged enum: it would swallow the reason why a fault is none.
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let faults = if is_array { parse::<Vec<Fault>>(&body) } else { parse::<Fault>(&body).map(|fault| vec![fault]) };
    match faults {
        Ok(faults) => {
            lock(&core.faults).set(faults);
            HttpResponse::NoContent().finish()
        }
        Err(reason) => wrong(&reason),
    }
}

async fn faults(core: Data<Core>) -> HttpResponse {
    HttpResponse::Ok().json(lock(&core.faults).in_force())
}

async fn clear_faults(core: Data<Core>) -> HttpResponse {
    lock(&core.faults).set(Vec::new());
    HttpResponse::NoContent().finish()
}

async fn change_lifetime(body: Bytes, core: Data<Core>) -> HttpResponse {
    let change = parse::<LifetimeChange>(&body);
    let changed = change.and_then(|change| lock(&core.lifetimes).change(change, &core.clients).map_err(|error| error.to_string()));
    match changed {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(reason) => wrong(&reason),
    }
}

async fn forget_lifetimes(core: Data<Core>) -> HttpResponse {
    lock(&core.lifetimes).forget_changes();
    HttpResponse::NoContent().finish()
}

/// What a caller of the counters waits for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Awaited {
    /// So many requests received.
    #[serde(default)]
    at_least: u64,
    /// So many requests answered.
    #[serde(default)]
    answered: u64,
    /// Seconds to wait at most.
    #[serde(default = "ten_seconds")]
    timeout: u64,
}

fn ten_seconds() -> u64 {
    10
}

const LONGEST_WAIT: u64 = 600;

async fn counters(awaited: Result<Query<Awaited>, actix_web::Error>, core: Data<Core>) -> HttpResponse {
    let awaited = match awaited {
        Ok(awaited) => awaited.into_inner(),
        Err(error) => return wrong(&error.to_string()),
    };
    let enough = core.counting.wait(|progress| progress.received >= awaited.at_least && progress.answered >= awaited.answered);
    let in_time = timeout(Duration::from_secs(awaited.timeout.min(LONGEST_WAIT)), enough).await.is_ok();
    let mut response: HttpResponseBuilder = if in_time { HttpResponse::Ok() } else { HttpResponse::GatewayTimeout() };
    response.json(core.counters())
}

async fn reset_counters(core: Data<Core>) -> HttpResponse {
    core.counting.reset();
    HttpResponse::NoContent().finish()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn wrong(reason: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"error": reason}))
}
