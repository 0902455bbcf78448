//! Which services there are and what their messages look like, for tools that ask: `grpc.reflection` in both of its
//! versions, which have the same messages. The descriptors are those of the `.proto` files beside this one.

use prost::Message;

use super::framed;

const FILES: [(&str, &[u8], &str); 2] = [
    ("inference.proto", include_bytes!("inference.bin"), "inference."),
    ("health.proto", include_bytes!("health.bin"), "grpc.health.v1."),
];

const SERVICES: [&str; 2] = [super::SERVICE, "grpc.health.v1.Health"];

/// gRPC's code for what is not there.
const NOT_FOUND: i32 = 5;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(oneof = "Question", tags = "3, 4, 5, 6, 7")]
    question: Option<Question>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Question {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(bytes = "vec", tag = "5")]
    FileContainingExtension(Vec<u8>),
    #[prost(string, tag = "6")]
    AllExtensionNumbers(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    valid_host: String,
    #[prost(message, optional, tag = "2")]
    original_request: Option<Request>,
    #[prost(oneof = "Reply", tags = "4, 6, 7")]
    reply: Option<Reply>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Reply {
    #[prost(message, tag = "4")]
    Files(FileDescriptors),
    #[prost(message, tag = "6")]
    Services(ServiceList),
    #[prost(message, tag = "7")]
    Error(ErrorReply),
}

#[derive(Clone, PartialEq, Message)]
struct FileDescriptors {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceList {
    #[prost(message, repeated, tag = "1")]
    services: Vec<ServiceName>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceName {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorReply {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    text: String,
}

/// Answers a question, in its frame.
pub fn answer(text: &[u8], out: &mut Vec<u8>) {
    let request = Request::decode(text).unwrap_or_default();
    let file = |found: Option<&(&str, &[u8], &str)>| match found {
        Some((_, bytes, _)) => Reply::Files(FileDescriptors {
            files: vec![bytes.to_vec()],
        }),
        None => Reply::Error(ErrorReply {
            code: NOT_FOUND,
            text: "no such file, service or message".into(),
        }),
    };
    let reply = match &request.question {
        Some(Question::ListServices(_)) => Reply::Services(ServiceList {
            services: SERVICES.map(|name| ServiceName { name: name.to_owned() }).to_vec(),
        }),
        Some(Question::FileByFilename(name)) => file(FILES.iter().find(|(known, ..)| known == name)),
        Some(Question::FileContainingSymbol(name)) => {
            file(FILES.iter().find(|(.., package)| name.starts_with(package)))
        }
        _ => file(None),
    };
    let response = Response {
        valid_host: request.host.clone(),
        original_request: Some(request),
        reply: Some(reply),
    };
    framed(&response, out);
}
