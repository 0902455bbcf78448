//! The messages of `inference.proto`, as much of them as is answered here: fields with the numbers that KServe, Triton
//! and MLServer share. `inference.proto` beside this file is the same in protobuf's own language.

use std::collections::HashMap;

/// A parameter.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InferParameter {
    /// Its value.
    #[prost(oneof = "Parameter", tags = "1, 2, 3, 4, 5")]
    pub choice: Option<Parameter>,
}

/// The value of a parameter.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Parameter {
    /// A boolean.
    #[prost(bool, tag = "1")]
    Bool(bool),
    /// An integer.
    #[prost(int64, tag = "2")]
    Int64(i64),
    /// A text.
    #[prost(string, tag = "3")]
    String(String),
    /// A number.
    #[prost(double, tag = "4")]
    Double(f64),
    /// An integer without a sign.
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

/// The values of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorContents {
    /// Of BOOL.
    #[prost(bool, repeated, tag = "1")]
    pub bools: Vec<bool>,
    /// Of INT8, INT16 and INT32.
    #[prost(int32, repeated, tag = "2")]
    pub ints: Vec<i32>,
    /// Of INT64.
    #[prost(int64, repeated, tag = "3")]
    pub longs: Vec<i64>,
    /// Of UINT8, UINT16 and UINT32.
    #[prost(uint32, repeated, tag = "4")]
    pub uints: Vec<u32>,
    /// Of UINT64.
    #[prost(uint64, repeated, tag = "5")]
    pub ulongs: Vec<u64>,
    /// Of FP32.
    #[prost(float, repeated, tag = "6")]
    pub floats: Vec<f32>,
    /// Of FP64.
    #[prost(double, repeated, tag = "7")]
    pub doubles: Vec<f64>,
    /// Of BYTES.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub texts: Vec<Vec<u8>>,
}

/// A tensor of a request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InferInput {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What its values are.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Its dimensions.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    /// Its values, where they are not among the raw ones.
    #[prost(message, optional, tag = "5")]
    pub contents: Option<TensorContents>,
}

/// An output that is asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestedOutput {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A request to infer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelInferRequest {
    /// Which model.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Which version; empty for any.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// What the request is called.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Parameters.
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, InferParameter>,
    /// Tensors.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferInput>,
    /// What is asked for.
    #[prost(message, repeated, tag = "6")]
    pub outputs: Vec<RequestedOutput>,
    /// The values of all tensors as bytes.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

/// A tensor of an answer, whose values are among the raw ones; also a tensor in metadata.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorMetadata {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What its values are.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Its dimensions.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// An answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelInferResponse {
    /// Which model.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Which version.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// What the request is called.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Tensors.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
    /// Their values.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub raw_output_contents: Vec<Vec<u8>>,
}

/// Names a model and a version: requests about models.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelRequest {
    /// Which model.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Which version; empty for any.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// Whether something is so: `live`, `ready`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct FlagResponse {
    /// Whether it is.
    #[prost(bool, tag = "1")]
    pub flag: bool,
}

/// What the server is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerMetadataResponse {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// What it offers beside the protocol's own calls.
    #[prost(string, repeated, tag = "3")]
    pub extensions: Vec<String>,
}

/// What a model takes and gives.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelMetadataResponse {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its versions.
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    /// What kind of model it is.
    #[prost(string, tag = "3")]
    pub platform: String,
    /// What it takes.
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
}

/// A tensor of a model's configuration that goes in.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfigInput {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What its values are, by Triton's numbers.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Its dimensions but the rows.
    #[prost(int64, repeated, tag = "4")]
    pub dims: Vec<i64>,
}

/// One that comes out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfigOutput {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What its values are, by Triton's numbers.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Its dimensions but the rows.
    #[prost(int64, repeated, tag = "3")]
    pub dims: Vec<i64>,
}

/// A model's configuration, as Triton says it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelConfig {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What kind of model it is.
    #[prost(string, tag = "2")]
    pub platform: String,
    /// Rows of a request at most.
    #[prost(int32, tag = "4")]
    pub max_batch_size: i32,
    /// What it takes.
    #[prost(message, repeated, tag = "5")]
    pub input: Vec<ConfigInput>,
    /// What it gives.
    #[prost(message, repeated, tag = "6")]
    pub output: Vec<ConfigOutput>,
    /// Who evaluates it.
    #[prost(string, tag = "17")]
    pub backend: String,
}

/// The same in an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelConfigResponse {
    /// The configuration.
    #[prost(message, optional, tag = "1")]
    pub config: Option<ModelConfig>,
}

/// How often something happened, and how long it took.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StatisticDuration {
    /// How often.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Nanoseconds in all.
    #[prost(uint64, tag = "2")]
    pub ns: u64,
}

/// What became of requests.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct InferStatistics {
    /// Answered.
    #[prost(message, optional, tag = "1")]
    pub success: Option<StatisticDuration>,
    /// Refused.
    #[prost(message, optional, tag = "2")]
    pub fail: Option<StatisticDuration>,
}

/// What was asked of a model.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelStatistics {
    /// Which model.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Which version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// When last, in milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub last_inference: u64,
    /// Rows.
    #[prost(uint64, tag = "4")]
    pub inference_count: u64,
    /// Requests.
    #[prost(uint64, tag = "5")]
    pub execution_count: u64,
    /// What became of them.
    #[prost(message, optional, tag = "6")]
    pub inference_stats: Option<InferStatistics>,
}

/// The same of several.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelStatisticsResponse {
    /// Of each.
    #[prost(message, repeated, tag = "1")]
    pub model_stats: Vec<ModelStatistics>,
}

/// A model in the list of all.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelIndex {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// `READY` or `UNAVAILABLE`.
    #[prost(string, tag = "3")]
    pub state: String,
    /// Why it is not.
    #[prost(string, tag = "4")]
    pub reason: String,
}

/// The list of all models.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepositoryIndexResponse {
    /// Each of them.
    #[prost(message, repeated, tag = "1")]
    pub models: Vec<ModelIndex>,
}

/// Whether a service serves: `grpc.health.v1`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckRequest {
    /// Which service; empty for the server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// The answer: 1 it serves, 2 it does not.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct HealthCheckResponse {
    /// Which.
    #[prost(int32, tag = "1")]
    pub status: i32,
}
