//! What side is made of: the caller builds it, [`start`](super::start) takes it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Receiver;

use super::{CpuBudget, JwksSettings, ProcessFacts, ShadowSetup};
use crate::auth::SharedAccess;
use crate::budget::Budget;
use crate::config;
use crate::models::{ModelsHandle, Registry};
use crate::remote::RemoteQueue;
use crate::shard::mailbox::Address;
use crate::spool::Spool;
use crate::telemetry::{Event, Gauges, SecurityGauges, ShardStats};

/// Everything side is made of.
#[derive(Debug)]
pub struct SideParts {
    /// One link for each shard, in the order of their numbers.
    pub shards: Vec<ShardLink>,
    /// Where records go.
    pub records: config::Records,
    /// Where they wait for that; none when they go nowhere.
    pub spool: Option<Spool>,
    /// The models that are served from the start.
    pub registry: Arc<Registry>,
    /// Who keeps the models of a store, if they come from one.
    pub models: Option<ModelsHandle>,
    /// What scores beside, where models come from a store and records are kept.
    pub shadow: Option<ShadowSetup>,
    /// What the metrics say of this process.
    pub about: ProcessFacts,
    /// What shards want logged.
    pub events: Receiver<Event>,
    /// The settings for AWS's services.
    pub aws: config::Aws,
    /// How much the worker may do at once.
    pub pace: CpuBudget,
    /// Where operators ask.
    pub admin: Option<TcpListener>,
    /// Whether the process wants traffic, for `/readyz`.
    pub ready: Arc<AtomicBool>,
    /// What requests hold and may hold.
    pub budget: Arc<Budget>,
    /// The remote scorer.
    pub remote: Option<RemoteParts>,
    /// What is known of certificates.
    pub security: Arc<SecurityGauges>,
    /// Who may do what on the admin listener.
    pub access: Arc<SharedAccess>,
    /// How the issuer's keys are had, if tokens are accepted.
    pub jwks: Option<JwksSettings>,
    /// Whether the status has the ids of the last scores.
    pub shows_recent: bool,
}

/// How questions of the shards are answered.
#[derive(Debug)]
pub struct RemoteParts {
    /// Where they come in.
    pub desk: RemoteQueue,
    /// Who is asked, and how.
    pub scoring: config::Scoring,
}

/// Side's ends of what runs between it and one shard.
#[derive(Debug)]
pub struct ShardLink {
    /// Letters in.
    pub address: Address,
    /// Full blocks of counts out.
    pub stats: Receiver<Box<ShardStats>>,
    /// What may be looked at from outside.
    pub gauges: Arc<Gauges>,
}
