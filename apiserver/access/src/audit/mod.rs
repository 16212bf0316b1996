//! The audit log: who did what when, one JSON line per stage of a request.
