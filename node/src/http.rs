//! The HTTP port for people and machines that watch: metrics and health. S3 has its own port, and so has
//! administration; nothing here changes anything.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vaultaire_router::service::Readiness;

use crate::metrics::{self, Metrics};
use crate::raft::directory::Directory;
use crate::raft::group::{GroupMetrics, Groups, Role};
use crate::raft::stall::Stall;

/// What Prometheus expects to be told of the format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = include_str!("http/index.html");

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Parts {
    pub registry: Arc<RwLock<Registry>>,
    pub metrics: Arc<Metrics>,
    /// Empty while the node starts.
    pub groups: Arc<OnceLock<Arc<Groups>>>,
    pub ready: Arc<Ready>,
}

impl Parts {
    /// Of a node whose groups appear in `directory`.
    pub fn of_start(directory: &Arc<Directory>) -> Self {
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let registry = Arc::new(RwLock::new(registry));
        let ready = Arc::new(Ready::new(Arc::clone(directory)));
        Self { registry, metrics, groups: Arc::default(), ready }
    }
}

/// Whether the node takes requests, and if not why.
#[derive(Debug)]
pub struct Ready {
    told: RwLock<Told>,
    directory: Arc<Directory>,
    stall: OnceLock<Arc<Stall>>,
}

#[derive(Clone, Debug)]
enum Told {
    Starts,
    Serves,
    Refuses(String),
}

impl Ready {
    /// Of a node that starts; its groups appear in `directory`.
    pub fn new(directory: Arc<Directory>) -> Self {
        Self { told: RwLock::new(Told::Starts), directory, stall: OnceLock::new() }
    }

    /// From now on the node serves.
    pub fn serve(&self) {
        *self.told.write() = Told::Serves;
    }

    /// From now on load balancers should look elsewhere.
    pub fn refuse(&self, why: &str) {
        *self.told.write() = Told::Refuses(why.to_owned());
    }

    /// A node whose log waits for its disk answers nothing.
    pub fn watch(&self, stall: Arc<Stall>) {
        // Groups are started once.
        let _ = self.stall.set(stall);
    }
}

impl Readiness for Ready {
    fn ready(&self) -> Result<(), String> {
        if self.stall.get().is_some_and(|stall| stall.is_stalled()) {
            return Err("the disk of this node's log does not answer".to_owned());
        }
        match &*self.told.read() {
            Told::Serves => Ok(()),
            Told::Refuses(why) => Err(why.clone()),
            Told::Starts => Err(starting(&self.directory)),
        }
    }
}

/// How far a start is. One that waits for a leader may wait for other nodes to start, or to be reached.
fn starting(directory: &Directory) -> String {
    let groups: Vec<GroupMetrics> =
        directory.all().iter().map(|replica| replica.metrics()).collect();
    match writable(&groups) {
        Ok(()) => "starting".to_owned(),
        Err(why) => format!("starting: {why}"),
    }
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, parts: Parts, stop: CancellationToken) {
    let routes = Router::new()
        .route("/", get(|| async { Html(INDEX) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/readyz/write", get(readyz_write))
        .route("/metrics", get(metrics_text))
        .with_state(parts);
    // Without this a small answer waits for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
    });
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP port stopped");
    }
}

async fn readyz(State(parts): State<Parts>) -> Response {
    verdict(parts.ready.ready())
}

/// Whether writes can be committed: every group has a leader.
async fn readyz_write(State(parts): State<Parts>) -> Response {
    let groups = parts.groups.get().map(|groups| groups.metrics()).unwrap_or_default();
    verdict(parts.ready.ready().and(writable(&groups)))
}

fn writable(groups: &[GroupMetrics]) -> Result<(), String> {
    for group in groups {
        match group.role {
            // It keeps the leader that it had when it stopped.
            Role::Stopped => return Err(format!("group {} has stopped", group.group)),
            Role::Leader | Role::Follower | Role::Candidate | Role::Learner => {}
        }
        if group.leader.is_none() {
            return Err(format!(
                "group {} has no leader: more than half of its voters have to run and reach each other",
                group.group
            ));
        }
    }
    Ok(())
}

fn verdict(ready: Result<(), String>) -> Response {
    match ready {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(parts): State<Parts>) -> Response {
    if let Some(groups) = parts.groups.get() {
        parts.metrics.observe(&groups.metrics(), &groups.journal(), parts.ready.ready().is_ok());
    }
    let text = metrics::text(&parts.registry);
    ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_not_ready_before_and_after_it_serves() {
        let ready = Ready::new(Arc::default());
        assert_eq!(ready.ready(), Err("starting".to_owned()));
        ready.serve();
        assert_eq!(ready.ready(), Ok(()));
        ready.refuse("draining");
        assert_eq!(verdict(ready.ready()).status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn writes_need_every_group_alive_and_led() {
        let group = |role, leader: Option<u64>| GroupMetrics {
            group: vaultaire_proto::GroupId(2),
            role,
            term: 1,
            leader: leader.map(vaultaire_proto::NodeId),
            last_log: 1,
            committed: 1,
            applied: 1,
            snapshot: 0,
            purged: 0,
            commands_total: 0,
            entries_total: 0,
            queued: 0,
        };
        assert_eq!(
            writable(&[group(Role::Leader, Some(1)), group(Role::Follower, Some(2))]),
            Ok(())
        );
        let led = group(Role::Leader, Some(1));
        let problem = |other| writable(&[led.clone(), other]).unwrap_err();
        let leaderless = problem(group(Role::Candidate, None));
        assert!(leaderless.starts_with("group 2 has no leader: more than half"), "{leaderless}");
        assert_eq!(problem(group(Role::Stopped, Some(1))), "group 2 has stopped");
    }
}
