//! hardway-client.
