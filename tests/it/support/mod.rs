//! Helpers of several tests: small models, small runs, a server.

pub mod http_server;
pub mod small_runs;
pub mod tiny;
