//! What the build script made: `V3` (path, hash, gzip), `V2` (hash, gzip),
//! `V2_PROTOBUF` and `META`, the definitions that custom resources' documents refer to.

include!(concat!(env!("OUT_DIR"), "/documents.rs"));
