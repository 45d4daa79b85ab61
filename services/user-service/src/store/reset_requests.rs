//! Requests for another password: one row each, whoever has the address or nobody.
//!
//! A request looks at no user, so that there is nothing in its work, and in its time, that tells whether
//! there is one. A worker takes the rows up afterwards.

use chassis::database::FutureExt;
use chrono::TimeDelta;
use contracts::UserId;
use sqlx::PgConnection;
use tracing::Instrument;

use super::Store;
use crate::domain::{Email, NewToken, Purpose, User};
use crate::error::Error;

/// A request that is older is dropped: whoever asked has asked again.
const AGE_MAX: TimeDelta = TimeDelta::hours(1);

impl Store {
    /// Keeps a request for another password, from somebody who says to have this address.
    pub(crate) async fn request_password_reset(&self, email: &Email) -> Result<(), Error> {
        sqlx::query!(
            "insert into password_reset_requests (id, email, traceparent, created_at)
             values ($1, $2, $3, $4)",
            self.clock.new_id(),
            email.as_str(),
            telemetry::propagation::current_traceparent(),
            self.clock.now(),
        )
        .execute(&self.database)
        .await?;
        self.reset_requested.notify_one();
        Ok(())
    }

    /// Waits until this process has kept a request.
    pub(crate) async fn reset_requested(&self) {
        self.reset_requested.notified().await;
    }

    /// Takes up the oldest request: the user with the address is sent the token, if there is one. False
    /// when there was no request. A crash in the middle leaves the row to the next one.
    pub(crate) async fn take_reset_request(&self) -> Result<bool, Error> {
        let token = self.new_token(Purpose::PasswordReset);
        let taken = self
            .database
            .transaction(|tx| self.answer_reset_request(tx, token).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(taken)
    }

    async fn answer_reset_request(
        &self,
        tx: &mut PgConnection,
        token: NewToken,
    ) -> Result<bool, Error> {
        let request = sqlx::query!(
            "delete from password_reset_requests
             where id = (select id from password_reset_requests order by id limit 1
                         for update skip locked)
             returning email, traceparent, created_at",
        );
        let Some(request) = request.fetch_optional(&mut *tx).await? else { return Ok(false) };
        let user = sqlx::query_scalar!(
            "select id from users where lower(email) = lower($1) and status = 'active'",
            request.email,
        );
        let user = user.fetch_optional(&mut *tx).await?.map(UserId::from_uuid);
        let is_late = request.created_at + AGE_MAX < self.clock.now();
        let Some(user) = user.filter(|_| !is_late) else { return Ok(true) };
        let span = tracing::info_span!("password reset", user.id = %user);
        if let Some(traceparent) = request.traceparent {
            telemetry::propagation::set_parent_from(&span, &traceparent);
        }
        let ask = |user: User| user.request_password_reset(token);
        match self.write(tx, user, &ask).instrument(span).await {
            // The event is refused, for good and before anything was written: the request is dropped.
            Err(Error::Enqueue(error))
                if !matches!(error, messaging::EnqueueError::Database(_)) =>
            {
                tracing::error!(error = %error, "a password reset could not be sent");
                Ok(true)
            }
            // Deleted at this moment.
            Err(Error::Domain(_)) => Ok(true),
            written => written.map(|_| true),
        }
    }
}
