//! hardway-resources.
