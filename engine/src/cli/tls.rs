//! `quintile tls`: certificates for development.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Exit, Streams, report};
use crate::tls;

pub(crate) const EXAMPLES: &str = "Examples:
  quintile tls self-signed
  quintile tls self-signed --out certificates --name crm.test --name 10.0.0.7
  quintile tls self-signed --days 365 --force
  QUINTILE_TLS__CERTIFICATE=tls.crt QUINTILE_TLS__KEY=tls.key quintile serve";

/// `tls`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TlsCommand {
    /// Make a certificate and its key for development: tls.crt and tls.key
    ///
    /// ECDSA P-256, valid from an hour ago. Clients trust the certificate itself. For production take certificates from
    /// your CA, and have it replace the files: the server reads them again.
    #[command(after_long_help = EXAMPLES)]
    SelfSigned(SelfSignedArgs),
}

/// `tls self-signed`.
#[derive(Debug, clap::Args)]
pub(crate) struct SelfSignedArgs {
    /// The folder of the two files; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// A name or address of the server; may be given several times
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) names: Vec<String>,
    /// Days that it is valid, 1 to 3650
    #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Replace files that are there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `quintile tls …`.
pub(crate) fn run(command: &TlsCommand, streams: &mut Streams<'_>) -> Exit {
    let TlsCommand::SelfSigned(args) = command;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let pair = match tls::self_signed(&args.names, args.days, now) {
        Ok(pair) => pair,
        Err(error) => return report::failure(error, streams),
    };
    if let Err(error) = std::fs::create_dir_all(&args.out) {
        return report::failure(format_args!("make {}: {error}", args.out.display()), streams);
    }
    let (certificate, key) = (args.out.join("tls.crt"), args.out.join("tls.key"));
    // The key first: a certificate without its key is of no use.
    for (path, text, mode) in [(&key, &pair.key, 0o600), (&certificate, &pair.certificate, 0o644)] {
        if let Err(error) = write(path, text, mode, args.force) {
            let hint = match error.kind() {
                io::ErrorKind::AlreadyExists => "; --force replaces it",
                _ => "",
            };
            return report::failure(format_args!("write {}: {error}{hint}", path.display()), streams);
        }
    }
    let (certificate, key) = (certificate.display(), key.display());
    let text = format!(
        "{certificate}\n{key}\n\nQUINTILE_TLS__CERTIFICATE={certificate} QUINTILE_TLS__KEY={key} quintile serve\n\
         curl --cacert {certificate} https://localhost:8080/readyz\n"
    );
    report::print(&text, streams)
}

/// Writes a file that only `mode` may read from its first byte on.
fn write(path: &Path, text: &str, mode: u32, replaces: bool) -> io::Result<()> {
    if replaces {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
