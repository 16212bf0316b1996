//! hardway-kubelet.
