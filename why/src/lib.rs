//! Why something is stuck, told from what the API shows.
