//! Connections on which much is asked for.

use super::run;
use super::turns::{InTurn, Turns};
use futures_util::future::BoxFuture;
use hardway_client::serving::Burden;
use std::sync::{Arc, LazyLock};

/// Turns of connections that are burdened.
static TURNS: LazyLock<Turns> = LazyLock::new(Turns::default);

/// Serves a connection here, and in the background while it is burdened: the bytes of
/// who asks for much are encrypted and sent after those of others.
pub async fn serve(mut connection: BoxFuture<'static, ()>, burden: Arc<Burden>) {
    loop {
        tokio::select! {
            () = &mut connection => return,
            () = burden.begins() => {}
        }
        let burden = burden.clone();
        let served = async move {
            tokio::select! {
                () = &mut connection => None,
                () = burden.ends() => Some(connection),
            }
        };
        match run(InTurn::new(&TURNS, served)).await {
            Some(light) => connection = light,
            None => return,
        }
    }
}
