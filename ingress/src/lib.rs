//! The ingress controller: Services behind host names and paths.
