//! The server, from its port to an API server that is a fake.

mod api_server;
mod browser;
mod live;
mod local;
mod pass_through;
mod sessions;
