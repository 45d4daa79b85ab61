//! `/api/samples`.

use std::time::Duration;

use auth::{Caller, User};
use axum::extract::State;
use chassis::extract::{IdempotencyKey, Json, Path, RequestContext};
use chassis::{Clock, Problem};
use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::sample::SampleId;
use http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use service_client::{Call, Kind, ServiceClient};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{DomainError, Sample, Title};
use crate::error::Error;
use crate::store::Store;

/// Longest time to ask user-service whether the user is active.
const USER_TIMEOUT: Duration = Duration::from_secs(3);

/// What to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSample {
    /// One line of 1 to 100 characters.
    #[schema(example = "First", min_length = 1, max_length = 100)]
    title: String,
}

/// What was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct SampleView {
    sample_id: Uuid,
    user_id: Uuid,
    /// Empty once the user is deleted.
    title: String,
    /// `open` or `closed`.
    status: &'static str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What user-service says of a user.
#[derive(Deserialize)]
struct Profile {
    status: String,
}

impl From<Sample> for SampleView {
    fn from(sample: Sample) -> Self {
        Self {
            sample_id: sample.id.as_uuid(),
            user_id: sample.user_id.as_uuid(),
            title: sample.title.as_str().to_owned(),
            status: sample.status.as_str(),
            created_at: sample.created_at,
            updated_at: sample.updated_at,
        }
    }
}

/// Makes one for the caller. Asked again with the same Idempotency-Key it makes no second one.
#[utoipa::path(post, path = "/api/samples", tag = "samples", request_body = NewSample,
    params(("idempotency-key" = String, Header, description = "1 to 255 characters")),
    security(("bearer" = [])), responses(
    (status = 201, body = SampleView, headers(("location" = String))),
    (status = 400, body = Problem, description = "No Idempotency-Key"),
    (status = 422, body = Problem, description = "A field, the user, or the key's reuse is refused"),
    (status = 503, body = Problem, description = "The user cannot be checked; nothing was made"),
))]
pub(crate) async fn create(
    caller: User,
    IdempotencyKey(key): IdempotencyKey,
    State(store): State<Store>,
    State(users): State<ServiceClient>,
    State(clock): State<Clock>,
    context: RequestContext,
    Json(new): Json<NewSample>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<SampleView>), Error> {
    let user_id = UserId::from_uuid(caller.id);
    let title = Title::parse(&new.title)?;
    let call = Call::new("get_user").within(USER_TIMEOUT).passing_on(&context);
    require_active(&users, user_id, call).await?;
    let id = SampleId::from_uuid(clock.new_id());
    let made = store.create(&key, Sample::new(id, user_id, title, clock.now())).await?;
    let location = [(header::LOCATION, format!("/api/samples/{}", made.id))];
    Ok((StatusCode::CREATED, location, Json(made.into())))
}

/// Goes on only when user-service says that the user is active.
async fn require_active(users: &ServiceClient, id: UserId, call: Call) -> Result<(), Error> {
    // template: if template
    if cfg!(feature = "calls-nobody") {
        return Ok(());
    }
    // template: end
    match users.get::<Profile>(&format!("/api/users/{id}"), call).await {
        Ok(profile) if profile.status == "active" => Ok(()),
        Ok(_) => Err(Error::UserNotActive),
        Err(error) if matches!(error.kind, Kind::NotFound) => Err(Error::UserNotActive),
        Err(error) => Err(Error::UserUnknown(error)),
    }
}

/// Shows one.
#[utoipa::path(get, path = "/api/samples/{id}", tag = "samples", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = SampleView),
    (status = 404, body = Problem, description = "None, or not the caller's to see"),
))]
pub(crate) async fn show(
    caller: Caller,
    State(store): State<Store>,
    Path(id): Path<Uuid>,
) -> Result<Json<SampleView>, Error> {
    let sample = store.sample(SampleId::from_uuid(id)).await?;
    if !caller.may_see(sample.user_id.as_uuid()) {
        return Err(DomainError::NotFound.into());
    }
    Ok(Json(sample.into()))
}

/// Closes one. What is closed is removed after a while.
#[utoipa::path(delete, path = "/api/samples/{id}", tag = "samples", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 204),
    (status = 404, body = Problem, description = "None, or not the caller's to close"),
))]
pub(crate) async fn close(
    caller: Caller,
    State(store): State<Store>,
    State(clock): State<Clock>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Error> {
    let now = clock.now();
    let close = |sample: Sample| {
        let may = caller.may_change(sample.user_id.as_uuid());
        if may { Ok(sample.close(now)) } else { Err(DomainError::NotFound) }
    };
    store.change(SampleId::from_uuid(id), close).await?;
    Ok(StatusCode::NO_CONTENT)
}
