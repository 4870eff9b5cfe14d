//! Logs: structured, to stderr, JSON off a terminal and readable lines on one. Metrics are `http.rs`;
//! request ids are made by whoever takes the request and ride in its span.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Which lines are shown; the syntax is tracing's (`info`, `vaultaire=debug,openraft=warn`).
const FILTER_VARIABLE: &str = "VAULTAIRE_LOG";

/// Libraries that speak at `info` of what only their authors need.
const FILTER_DEFAULT: &str =
    "info,openraft=error,fjall=warn,lsm_tree=warn,s3s=off,hyper=warn,h2=warn,tower=warn,tonic=warn";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Json,
    Lines,
}

impl Style {
    /// People sit at terminals; programs read everything else.
    pub fn for_stderr() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::Lines,
            false => Self::Json,
        }
    }
}

/// Starts logging for the process. A second call changes nothing.
pub fn start(style: Style) {
    let filter =
        EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(FILTER_DEFAULT));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match style {
        Style::Json => {
            let json =
                lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(json).try_init()
        }
        Style::Lines => registry.with(lines.compact().with_target(false)).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
