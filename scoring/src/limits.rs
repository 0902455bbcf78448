//! Limits of what is read and written here, with units and reasons. Model files have limits of their own in
//! `quintile_model::limits`.

/// Bytes of a lead's id. It is copied into every record and answer; UUIDs and CRM ids are below 64.
pub const LEAD_ID_BYTES_MAX: usize = 256;

/// Bytes of a request id taken from `x-request-id`; longer ones are replaced by one that the server makes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Faults of one body that are reported one by one; the rest is counted.
pub const FAULTS_MAX: usize = 32;

/// Bytes of an unknown key that an error repeats, so that a client can find it but not make us echo its data.
pub const ECHO_BYTES_MAX: usize = 64;

/// Reasons of one score that a request may ask for. People read four; programs may want all of a usual model's.
pub const REASONS_MAX: u16 = 1_000;

/// Levels of nesting of a body. A request has two; more is cut off before it costs anything.
pub const BODY_NESTING_MAX: usize = 16;
