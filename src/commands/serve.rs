//! `portvakt serve`: runs the service until it is told to stop.

use clap::Args;
use tracing::info;

use super::service::{self, Service};
use super::{ConfigArgument, Failure};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config).map_err(Failure::misused)?;
    let service = Service::start(config)?;
    info!("listening on {}", service.tokens_address());
    service::run_until_told_to_stop(service)
}
