//! Why a server did not start, or did not end well: the step that failed.

use std::io;

use quintile_scoring::loaded::LoadError;

use crate::config::{Fault, SettingSource};
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
    /// A kind of store that this build does not read.
    #[error("models.store is {0}; accepted: a folder")]
    NoS3Store(String),
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
                | Self::NoS3Store(_)
                | Self::Runtime(_)
                | Self::Spool(SpoolError::TooSmall { .. })
        )
    }

    /// A model's faults one by one, everything else as it is.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let setting = |key: &str| Fault {
            source: SettingSource::Setting(key.into()),
            message: self.to_string(),
            hint: None,
        };
        match self {
            Self::Model(error) => Fault::of_model(error),
            Self::Store(_) | Self::NoS3Store(_) => vec![setting("models.store")],
            Self::Runtime(_) => vec![setting("server.runtime")],
            Self::Listen { .. } => vec![setting("server.listen")],
            Self::Admin { .. } => vec![setting("server.admin")],
            Self::Spool(_) | Self::Register { .. } | Self::RecordTooLarge { .. } => vec![setting("records.spool_dir")],
            Self::Side(_) => vec![setting("records.sinks")],
            _ => vec![setting("server")],
        }
    }
}
