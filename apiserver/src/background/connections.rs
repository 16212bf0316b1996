//! Connections on which much is asked for.

use super::permits::{Permits, Permitted};
use super::run;
use futures_util::future::BoxFuture;
use hardway_client::serving::ConnectionLoad;
use std::sync::{Arc, LazyLock};

/// Permits of connections that are burdened.
static TURNS: LazyLock<Permits> = LazyLock::new(Permits::default);

/// Serves a connection here, and in the background while it is burdened: the bytes of
/// who asks for much are encrypted and sent after those of others.
pub async fn serve(mut connection: BoxFuture<'static, ()>, load: Arc<ConnectionLoad>) {
    loop {
        tokio::select! {
            () = &mut connection => return,
            () = load.begins() => {}
        }
        let load = load.clone();
        let served = async move {
            tokio::select! {
                () = &mut connection => None,
                () = load.ends() => Some(connection),
            }
        };
        match run(Permitted::new(&TURNS, served)).await {
            Some(light) => connection = light,
            None => return,
        }
    }
}
