//! Why a server did not start, or did not end well: the step that failed.

use std::io;

use quintile_scoring::loaded::LoadError;

use crate::config::Fault;
use crate::models::StoreStartError;
use crate::runtime::{self, StartError};
use crate::side::{self, UndeliveredError};
use crate::spool::SpoolError;

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The model.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// The store of models.
    #[error(transparent)]
    Store(#[from] StoreStartError),
    /// The runtime that was forced.
    #[error(transparent)]
    Runtime(#[from] runtime::RuntimeRefusedError),
    /// The address.
    #[error("listen on {listen}: {source}")]
    Listen {
        /// As it was asked for.
        listen: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The address for operators.
    #[error("listen on {listen} for operators (server.admin): {source}")]
    Admin {
        /// As it was asked for.
        listen: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The model's entry in the spool.
    #[error("write down in the spool {path} how this model's records are read: {source}")]
    Register {
        /// The spool.
        path: std::path::PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A model whose records are longer than those that the spool was made for.
    #[error(
        "keep records of this model: they take up to {record_bytes} bytes, and the spool was opened for {record_bytes_max} \
         at most; a restart opens it anew"
    )]
    RecordTooLarge {
        /// Bytes of the model's largest record.
        record_bytes: usize,
        /// What a file of the spool can hold.
        record_bytes_max: usize,
    },
    /// A sink.
    #[error(transparent)]
    Side(#[from] side::StartError),
    /// A shard's runtime.
    #[error("start shard {shard}: {source}")]
    Shard {
        /// Which shard.
        shard: usize,
        /// Why not.
        source: StartError,
    },
    /// A thread.
    #[error("start thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Several of these, or faults of what they lead to.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Fault>),
    /// A shard ended by itself.
    #[error("shard {shard} ended without being asked to")]
    ShardEnded {
        /// Which shard.
        shard: usize,
    },
    /// Records that could not be delivered.
    #[error(transparent)]
    UndeliveredError(#[from] UndeliveredError),
}

impl ServeError {
    /// Whether it takes another configuration, model or manifest, rather than another try.
    pub(crate) fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Model(_)
                | Self::Store(_)
                | Self::Runtime(_)
                | Self::Several(_)
                | Self::Spool(SpoolError::TooSmall { .. } | SpoolError::RemovedSinks { .. })
        )
    }

    /// Whether it kept the server from starting, and has faults for that.
    pub(crate) fn is_of_start(&self) -> bool {
        !matches!(self, Self::ShardEnded { .. } | Self::UndeliveredError(_))
    }

    /// A model's faults one by one, everything else as it is.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let setting = |key: &str| Fault::of_key(key, self);
        match self {
            Self::Model(error) => Fault::of_model(error),
            Self::Store(_) => vec![setting("models.store")],
            Self::Runtime(_) => {
                vec![setting("server.runtime").with_hint("auto takes epoll where io_uring cannot be had")]
            }
            Self::Several(faults) => faults.clone(),
            Self::Listen { listen, source } => vec![setting("server.listen").with_hint(address_hint(listen, source))],
            Self::Admin { listen, source } => vec![setting("server.admin").with_hint(address_hint(listen, source))],
            Self::Spool(error) => {
                let key = match error {
                    SpoolError::TooSmall { .. } | SpoolError::Memory { .. } => "records.spool_bytes",
                    SpoolError::RemovedSinks { .. } | SpoolError::Sinks(_) => "records.sinks",
                    _ => "records.spool_dir",
                };
                let hint = error.hint();
                vec![match hint {
                    Some(hint) => setting(key).with_hint(hint),
                    None => setting(key),
                }]
            }
            Self::Register { .. } | Self::RecordTooLarge { .. } => vec![setting("records.spool_dir")],
            Self::Side(error) => vec![setting(side_key(error))],
            _ => vec![setting("server")],
        }
    }
}

/// The key that names what a sink could not use.
fn side_key(error: &side::StartError) -> &'static str {
    match error {
        side::StartError::Sink { source, .. } => match source {
            side::SinkError::File { .. } | side::SinkError::Split(_) => "records.data_dir",
            side::SinkError::Aws(_) => "aws.region",
            _ => "records.sinks",
        },
        side::StartError::SageMaker(_) => "aws.region",
        _ => "server",
    }
}

/// What to do about an address that cannot be had.
fn address_hint(address: &str, error: &io::Error) -> String {
    let port = address.rsplit(':').next().unwrap_or_default();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another process listens there (ss -ltnp 'sport = :{port}' says which): stop it, or take another port"
            )
        }
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 takes a privilege (CAP_NET_BIND_SERVICE): take a higher one, as 8080".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address (ip addr lists them): 127.0.0.1 is this machine, 0.0.0.0 every interface"
                .into()
        }
        _ => "no address has this name here: 127.0.0.1 is this machine, 0.0.0.0 every interface".into(),
    }
}
