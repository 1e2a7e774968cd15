//! Unsealing: the one request to a server that has no root key yet.
//!
//! Invariant: a share comes in the body alone, and its text is wiped wherever this program holds it; the buffers in which the
//! libraries of HTTP and TLS receive it are theirs. It is said back nowhere.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::Body;
use super::error::{Problem, Refused};
use super::seal::UnsealAnswer;
use super::state::App;

/// The largest body; anybody may send one.
pub const BYTES_MAX: usize = 16 << 10;

/// A share of the root key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsealBody {
    /// One share, as `lethedb keys split` wrote it. Without it, only how far the unsealing is, is told.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>)]
    share: Option<Zeroizing<String>>,
    /// Whether to forget the shares that were given before.
    #[serde(default)]
    reset: bool,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

/// Takes one share of the root key. Once there are enough, the database opens and all other routes answer.
#[utoipa::path(post, operation_id = "unseal", path = "/v1/admin/keys/unseal", tag = "admin", request_body = UnsealBody,
    responses((status = 200, description = "how far it is", body = UnsealAnswer), Refused))]
pub async fn unseal(State(app): State<App>, Body(body): Body<UnsealBody>) -> Result<Json<UnsealAnswer>, Problem> {
    Ok(Json(give(&app, body.share, body.reset).await?))
}

/// Has a share looked at, whichever way it came.
///
/// # Errors
/// Those of [`Seal::take`](super::seal::Seal::take).
pub async fn give(app: &App, share: Option<Zeroizing<String>>, resets: bool) -> Result<UnsealAnswer, Problem> {
    let wait = Duration::from_secs(app.config().server.wait_seconds);
    app.seal().take(share, resets, wait).await
}
