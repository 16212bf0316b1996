//! hardway-tests.
