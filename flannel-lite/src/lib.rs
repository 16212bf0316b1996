//! hardway-flannel-lite.
