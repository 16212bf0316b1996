//! hardway-streams.
