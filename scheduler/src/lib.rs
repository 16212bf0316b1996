//! hardway-scheduler.
