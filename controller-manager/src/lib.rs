//! hardway-controller-manager.
