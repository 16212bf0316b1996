//! hardway-patch.
