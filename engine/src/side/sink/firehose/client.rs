//! One PutRecordBatch call, and the meaning of its answer.

use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::http::HttpResponse;
use aws_sdk_firehose::error::SdkError;
use aws_sdk_firehose::operation::put_record_batch::{PutRecordBatchError, PutRecordBatchOutput};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;

use super::outbox::{Outcome, Refused};
use crate::side::aws;

/// Something that sends the records of one call. The stream itself; in unit tests a list of answers.
pub(super) trait Transport: Send + 'static {
    /// Sends, once.
    fn put(&self, records: Vec<Vec<u8>>) -> impl Future<Output = Outcome> + Send + 'static;
}

/// A delivery stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Transport for Stream {
    fn put(&self, records: Vec<Vec<u8>>) -> impl Future<Output = Outcome> + Send + 'static {
        let record = |bytes| {
            let record = Record::builder().data(Blob::new(bytes)).build();
            record.expect("data is all that a record must have")
        };
        let records = records.into_iter().map(record).collect();
        let call = self.client.put_record_batch();
        let call = call.delivery_stream_name(&self.name).set_records(Some(records));
        async move {
            match call.send().await {
                Ok(answer) => answered(&answer),
                Err(error) => failed(&error),
            }
        }
    }
}

fn answered(answer: &PutRecordBatchOutput) -> Outcome {
    let verdicts: Vec<Option<Refused>> = answer
        .request_responses()
        .iter()
        .map(|entry| {
            entry.error_code().map(|code| Refused {
                code: code.to_owned(),
                message: entry.error_message().unwrap_or_default().to_owned(),
            })
        })
        .collect();
    let refused = verdicts.iter().flatten().count();
    let says = usize::try_from(answer.failed_put_count()).unwrap_or(0);
    if says > refused {
        // Some record was not taken, and which one is not known.
        return Outcome::Failed(format!("{says} records failed, but {refused} of them are named"));
    }
    Outcome::Answered(verdicts)
}

fn failed(error: &SdkError<PutRecordBatchError, HttpResponse>) -> Outcome {
    let reason = aws::reason(error);
    match (reason.code.as_str(), reason.status) {
        // Firehose's documented answer to more than the stream's quota; the others are what AWS calls it elsewhere.
        ("ServiceUnavailableException" | "ThrottlingException" | "Throttling" | "LimitExceededException", _)
        | (_, 429) => Outcome::Throttled(reason.text),
        ("ValidationException" | "InvalidArgumentException" | "SerializationException", _) | (_, 413) => {
            Outcome::Invalid(reason.text)
        }
        _ => Outcome::Failed(reason.text),
    }
}
