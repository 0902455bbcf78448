//! Everything for which a server would not start, looked at before anything is changed: by `serve`, which goes on with what
//! it got, and by `check`, which drops it. All of it is looked at, whatever is wrong with the first.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::error::ServeError;
use super::models::ModelSource;
use super::parts::{admin, choose, detect, listen, spool_options};
use super::security::{self, Security};
use crate::config::{Fault, Settings, SinkKind};
use crate::runtime::Chosen;
use crate::side;
use crate::topology::Topology;

/// What was found. None where the configuration does not say what to look at.
pub(crate) struct Preflight {
    pub(crate) model: Option<Result<ModelSource, ServeError>>,
    pub(crate) topology: Topology,
    pub(crate) runtime: Option<Result<(Chosen, String), ServeError>>,
    pub(crate) listener: Option<Result<(TcpListener, SocketAddr), ServeError>>,
    pub(crate) admin: Option<Result<Option<(TcpListener, SocketAddr)>, ServeError>>,
    pub(crate) security: Option<Result<Security, ServeError>>,
}

/// What a server goes on with.
pub(super) struct Prepared {
    pub(super) source: ModelSource,
    pub(super) topology: Topology,
    pub(super) chosen: Chosen,
    pub(super) listener: (TcpListener, SocketAddr),
    pub(super) admin: Option<(TcpListener, SocketAddr)>,
    pub(super) security: Security,
}

impl Preflight {
    /// Looks at everything but the records. `is_open` says which keys have faults of their own.
    pub(crate) fn new(settings: &Settings, is_open: &dyn Fn(&str) -> bool) -> Self {
        let known = |keys: &[&str]| keys.iter().all(|key| !is_open(key)).then_some(());
        let topology = detect(settings);
        // With other trees or another kernel it is still the file that is named.
        let model = known(&["model.path", "models.store", "scoring.primary", "scoring.fallback"]);
        let runtime = known(&["server.runtime", "server.shards"]);
        Self {
            model: model.map(|()| ModelSource::open(settings)),
            runtime: runtime.map(|()| choose(settings, &topology)),
            listener: known(&["server.listen"]).map(|()| listen(settings)),
            admin: known(&["server.admin"]).map(|()| admin(settings)),
            security: known(&security::KEYS).map(|()| Security::read_first(settings).map_err(ServeError::Several)),
            topology,
        }
    }

    /// What stands in the way of records: folders, the spool, services. Nothing is written but a file that is removed.
    pub(crate) fn records(&self, settings: &Settings, is_open: &dyn Fn(&str) -> bool) -> Vec<Fault> {
        let known = |keys: &[&str]| keys.iter().all(|key| !is_open(key));
        let mut faults = Vec::new();
        if settings.records.sinks.is_empty() || is_open("records.sinks") {
            return faults;
        }
        for (key, folder) in folders(settings) {
            if known(&[key, "records.data_dir"])
                && let Err(error) = writable(&folder)
            {
                faults.push(folder_fault(key, &folder, &error));
            }
        }
        let spool_known = known(&[
            "records.spool_dir",
            "records.data_dir",
            "records.spool_bytes",
            "server.shards",
        ]);
        if let (true, Some(Ok(source))) = (spool_known, &self.model)
            && let Err(error) = spool_options(
                &settings.records,
                &self.topology,
                source.spool_size(settings, &self.topology),
            )
            .examine()
        {
            faults.extend(ServeError::Spool(error).faults());
        }
        faults
    }

    /// Everything that is wrong.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let faults = |error: Option<&ServeError>| error.map(ServeError::faults).unwrap_or_default();
        let mut all = faults(self.model.as_ref().and_then(|model| model.as_ref().err()));
        all.extend(faults(
            self.listener.as_ref().and_then(|listener| listener.as_ref().err()),
        ));
        all.extend(faults(self.admin.as_ref().and_then(|admin| admin.as_ref().err())));
        all.extend(faults(
            self.security.as_ref().and_then(|security| security.as_ref().err()),
        ));
        all.extend(faults(self.runtime.as_ref().and_then(|runtime| runtime.as_ref().err())));
        all
    }

    /// What a server goes on with.
    ///
    /// # Errors
    /// The one thing that is wrong, or all of them.
    pub(super) fn prepared(self, settings: &Settings) -> Result<Prepared, ServeError> {
        let faults = self.faults();
        if !faults.is_empty() {
            let of_records = self.records(settings, &|_| false);
            return Err(self.error([faults, of_records].concat()));
        }
        match (self.model, self.runtime, self.listener, self.admin, self.security) {
            (Some(Ok(source)), Some(Ok((chosen, _))), Some(Ok(listener)), Some(Ok(admin)), Some(Ok(security))) => {
                Ok(Prepared {
                    source,
                    topology: self.topology,
                    chosen,
                    listener,
                    admin,
                    security,
                })
            }
            _ => Err(ServeError::Several(faults)),
        }
    }

    /// One error stays what it is.
    fn error(self, faults: Vec<Fault>) -> ServeError {
        let model = self.model.and_then(Result::err);
        let runtime = self.runtime.and_then(Result::err);
        let listener = self.listener.and_then(Result::err);
        let admin = self.admin.and_then(Result::err);
        let security = self.security.and_then(Result::err);
        let errors = [model, runtime, listener, admin, security];
        let mut errors: Vec<_> = errors.into_iter().flatten().collect();
        let of_them: usize = errors.iter().map(|error| error.faults().len()).sum();
        match errors.pop() {
            Some(error) if errors.is_empty() && of_them == faults.len() => error,
            _ => ServeError::Several(faults),
        }
    }
}

/// Whether AWS's services answer. Not before a server starts: it keeps records until they do.
pub(crate) fn services(settings: &Settings) -> Vec<Fault> {
    let failed = side::examine_aws(&settings.records, &settings.scoring, &settings.aws);
    let fault = |(key, error): (&'static str, side::AwsError)| match error {
        side::AwsError::Unreachable { .. } => Fault::of_key(key, error).with_hint(
            "look at the network, the proxy and aws.endpoint; serve would start, and keep records until it answers",
        ),
        side::AwsError::Region => Fault::of_key("aws.region", error).with_hint("as aws.region = \"eu-central-1\""),
        other @ side::AwsError::Runtime(_) => Fault::of_key(key, other),
    };
    let mut faults: Vec<Fault> = failed.into_iter().map(fault).collect();
    faults.dedup();
    faults
}

/// Every folder that is written to, and the key that names it.
fn folders(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let (records, data) = (&settings.records, &settings.records.data_dir);
    let goes_to = |kind| records.sinks.contains(&kind);
    let mut folders = vec![("records.spool_dir", records.spool_dir())];
    if goes_to(SinkKind::Parquet) {
        folders.extend(["scores", "tmp"].map(|name| ("records.data_dir", data.join(name))));
    }
    if goes_to(SinkKind::S3) {
        folders.push(("records.data_dir", data.join("uploads")));
    }
    if goes_to(SinkKind::Firehose) {
        folders.push(("records.data_dir", data.join("dead_letters")));
    }
    if records.spool_dir.is_none() {
        folders[0].0 = "records.data_dir";
    }
    // One fault for a folder that does not exist, however many would be made in it.
    folders.dedup_by_key(|(key, folder)| (*key, existing(folder)));
    folders
}

/// The folder itself, or the nearest above it that exists.
fn existing(folder: &Path) -> PathBuf {
    let mut there = folder;
    while !there.exists() {
        there = match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => return PathBuf::from("."),
        };
    }
    there.to_path_buf()
}

/// Whether a folder can be written to, or made where it would be.
fn writable(folder: &Path) -> io::Result<()> {
    let trial = existing(folder).join(format!(".quintile-check-{}", std::process::id()));
    fs::File::create(&trial)?;
    fs::remove_file(&trial)
}

fn folder_fault(key: &str, folder: &Path, error: &io::Error) -> Fault {
    let there = existing(folder);
    let shown = there.display();
    let user = rustix::process::geteuid().as_raw();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "this process runs as user {user}, who may not write to {shown}: chown it, or set {key} to another folder"
            )
        }
        io::ErrorKind::NotADirectory => format!("{shown} is a file: set {key} to a folder"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{shown} is on a read-only file system: mount a volume, or set {key} to another folder")
        }
        io::ErrorKind::StorageFull => format!("the disk of {shown} is full: make room, or set {key} to another folder"),
        _ => format!("set {key} to a folder that can be written to"),
    };
    Fault::of_key(key, format_args!("{}: {error}", folder.display())).with_hint(hint)
}
