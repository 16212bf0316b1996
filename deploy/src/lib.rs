//! hardway-deploy.
