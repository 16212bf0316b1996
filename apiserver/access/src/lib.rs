//! hardway-access.
