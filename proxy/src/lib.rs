//! hardway-proxy.
