//! hardway-apiserver.
