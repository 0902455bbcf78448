//! `[records]`: where answered scores are written.

use super::{Key, MIB, plain};
use crate::config::validators::{check_name, check_s3};
use crate::config::value::ValueKind;
use crate::config::{SinkKind, WhenFull};

pub(super) static KEYS: &[Key] = &[
    Key {
        section: "records",
        name: "sinks",
        flag: Some("sink"),
        kind: ValueKind::Words {
            words: || SinkKind::ALL.map(SinkKind::name).to_vec(),
            set: |settings, words| settings.records.sinks = sinks(words),
        },
        default: Some("parquet"),
        help: "Where a record of every answered score goes, to one or several: parquet, files under the data folder; s3, \
               the same in a bucket; firehose, a delivery stream; stdout, lines of JSON",
    },
    Key {
        section: "records",
        name: "data_dir",
        flag: Some("data-dir"),
        kind: ValueKind::Path {
            set: |settings, path| settings.records.data_dir = path,
        },
        default: Some("data"),
        help: "The data folder; records appear under scores/ in it",
    },
    Key {
        section: "records",
        name: "spool_dir",
        flag: None,
        kind: ValueKind::Path {
            set: |settings, path| settings.records.spool_dir = Some(path),
        },
        default: None,
        help: "The folder in which records wait for the sinks, one for each process; without it spool/ in the data folder",
    },
    Key {
        section: "records",
        name: "spool_bytes",
        flag: None,
        kind: ValueKind::Count {
            // The least holds a few hundred records of 50 features.
            range: MIB..=1024 * 1024 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.records.spool_bytes = bytes,
        },
        default: Some("1073741824"),
        help: "Files of the spool; what is not delivered waits there",
    },
    Key {
        section: "records",
        name: "when_full",
        flag: None,
        kind: ValueKind::Word {
            words: || vec!["shed", "drop"],
            set: |settings, word| {
                let when_full = match word {
                    "shed" => WhenFull::Shed,
                    "drop" => WhenFull::Drop,
                    _ => return false,
                };
                settings.records.when_full = when_full;
                true
            },
        },
        default: Some("shed"),
        help: "When the spool is full or its disk fails: answer 503, or answer and lose the record, which is counted",
    },
    Key {
        section: "records",
        name: "dead_letter_bytes",
        flag: None,
        kind: ValueKind::Count {
            // The least holds eight of the largest records.
            range: 16 * MIB..=1024 * 1024 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.records.dead_letter_bytes = bytes,
        },
        default: Some("268435456"),
        help: "Files of records that a sink's service refuses for ever; a sink at this limit waits until some are taken away",
    },
    Key {
        section: "records",
        name: "roll_rows",
        flag: None,
        kind: ValueKind::Count {
            range: 1..=10_000_000,
            unit: "records",
            set: |settings, rows| settings.records.roll_rows = rows,
        },
        default: Some("250000"),
        help: "A file is finished when it holds this many records",
    },
    Key {
        section: "records",
        name: "roll_seconds",
        flag: None,
        kind: ValueKind::Seconds {
            range: 0.1..=86_400.0,
            set: |settings, after| settings.records.roll_after = after,
        },
        default: Some("60"),
        help: "A file is finished when its oldest record waits this long",
    },
    plain(
        "records",
        "firehose_stream",
        ValueKind::Text {
            form: "the name of a delivery stream: 1 to 64 of letters, digits, _ . -",
            check: check_name,
            set: |settings, text| settings.records.firehose_stream = Some(text),
        },
        None,
        "The delivery stream of the sink firehose",
    ),
    plain(
        "records",
        "s3_url",
        ValueKind::Text {
            form: "s3://BUCKET or s3://BUCKET/PREFIX",
            check: check_s3,
            set: |settings, text| settings.records.s3_url = Some(text),
        },
        None,
        "Where the sink s3 puts its files, under date=…/hour=…/",
    ),
    plain(
        "records",
        "forget",
        ValueKind::Words {
            words: || SinkKind::ALL.map(SinkKind::name).to_vec(),
            set: |settings, words| settings.records.forget = sinks(words),
        },
        Some("none"),
        "Sinks that were removed and whose waiting records may be lost: without it a server does not start while records wait \
         for a sink that it has not",
    ),
];

fn sinks(words: &[&str]) -> Vec<SinkKind> {
    let find = |word: &&str| SinkKind::ALL.into_iter().find(|kind| kind.name() == *word);
    words.iter().filter_map(find).collect()
}
