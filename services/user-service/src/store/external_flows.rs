//! Browsers that were sent to an external issuer: what is kept until they are back.
//!
//! A flow is good once. Whoever completes it claims it before the issuer is asked, so that of two who come at once one
//! is refused, and its row goes in the transaction of what it was for.

use std::time::Duration;

use auth::User as SignedIn;
use auth::opaque::OpaqueToken;
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Proof, Store};
use crate::domain::DomainError;
use crate::error::Error;
use crate::external_issuer::{FlowSecrets, Identity, ShownFlow};

/// How long a browser may take at the issuer.
const FLOW_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A flow that its browser has come back with.
pub(crate) struct Flow {
    pub(crate) id: Uuid,
    /// Who it is, when the issuer has said so before and only a code was missing.
    pub(crate) linked: Option<Linked>,
}

/// A user, and the account at the issuer by which it is the user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linked {
    pub(crate) account: Uuid,
    pub(crate) user: UserId,
}

impl Store {
    /// Keeps a flow of somebody who is to be signed in; gives when it ends.
    pub(crate) async fn begin_sign_in(
        &self,
        issuer: &str,
        secrets: &FlowSecrets,
    ) -> Result<DateTime<Utc>, Error> {
        let begin = async |tx: &mut PgConnection| self.insert_flow(tx, issuer, secrets, None).await;
        self.database.transaction(|tx| begin(tx).scope_boxed()).await
    }

    /// Keeps a flow of a signed-in user who links an account by what is shown; gives when it ends.
    pub(crate) async fn begin_link(
        &self,
        caller: SignedIn,
        proof: Proof<'_>,
        issuer: &str,
        secrets: &FlowSecrets,
    ) -> Result<DateTime<Utc>, Error> {
        let user = UserId::from_uuid(caller.id);
        let begin = async |tx: &mut PgConnection| {
            self.lock_for(tx, caller, user).await?.active()?;
            let used = self.prove(tx, proof).await?;
            let session = Some(caller.session);
            Ok::<_, Error>((self.insert_flow(tx, issuer, secrets, session).await?, used))
        };
        let (expires_at, used) = self.database.transaction(|tx| begin(tx).scope_boxed()).await?;
        self.outbox.wake();
        if let Some(used) = used {
            used.log();
        }
        Ok(expires_at)
    }

    async fn insert_flow(
        &self,
        tx: &mut PgConnection,
        issuer: &str,
        secrets: &FlowSecrets,
        session: Option<Uuid>,
    ) -> Result<DateTime<Utc>, Error> {
        let now = self.clock.now();
        let expires_at = now + FLOW_LIFETIME;
        let [state, browser] = [&secrets.state, &secrets.browser].map(OpaqueToken::hash);
        sqlx::query!(
            "insert into external_flows
               (id, issuer, state_hash, browser_hash, session_id, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
            self.clock.new_id(),
            issuer,
            state.as_slice(),
            browser.as_slice(),
            session,
            now,
            expires_at,
        )
        .execute(tx)
        .await
        .map_err(ended)?;
        Ok(expires_at)
    }

    /// Claims the flow of what is shown: of a sign-in, or of a session. Nobody else claims it again, but for whoever
    /// comes with a code that was missing.
    ///
    /// [`DomainError::WrongFlow`] when it is not known, was used, is another's, or its time is up.
    pub(crate) async fn claim_flow(
        &self,
        issuer: &str,
        shown: &ShownFlow,
        session: Option<Uuid>,
    ) -> Result<Flow, Error> {
        let claimed = sqlx::query!(
            r#"update external_flows flow set claimed_at = $5
               where state_hash = $2 and browser_hash = $3 and issuer = $1
                 and session_id is not distinct from $4 and expires_at > $5
                 and (claimed_at is null or account_id is not null)
               returning id, account_id,
                         (select user_id from external_accounts where id = flow.account_id) as user_id"#,
            issuer,
            shown.state.as_slice(),
            shown.browser.as_slice(),
            session,
            self.clock.now(),
        );
        let claimed = claimed.fetch_optional(&self.database).await?;
        let flow = claimed.ok_or(DomainError::WrongFlow)?;
        let linked = flow.account_id.zip(flow.user_id);
        let linked =
            linked.map(|(account, user)| Linked { account, user: UserId::from_uuid(user) });
        Ok(Flow { id: flow.id, linked })
    }

    /// Lets a flow be claimed again: the issuer could not be asked.
    pub(crate) async fn release_flow(&self, flow: Uuid) -> Result<(), Error> {
        sqlx::query!("update external_flows set claimed_at = null where id = $1", flow)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// The user whom the issuer has named, if one is linked; the flow remembers that it is this one. Waits for whoever
    /// is unlinking the account just now.
    pub(crate) async fn identified(
        &self,
        flow: Uuid,
        issuer: &str,
        identity: &Identity,
    ) -> Result<Option<Linked>, Error> {
        let found = sqlx::query!(
            "with found as (select id, user_id from external_accounts
                            where issuer = $2 and subject = $3 for key share),
                  noted as (update external_flows set account_id = found.id from found
                            where external_flows.id = $1)
             select id, user_id from found",
            flow,
            issuer,
            identity.subject,
        );
        let found = found.fetch_optional(&self.database).await?;
        Ok(found.map(|found| Linked { account: found.id, user: UserId::from_uuid(found.user_id) }))
    }

    /// Removes flows whose time is up, up to `limit`; tells how many.
    pub(crate) async fn sweep_external_flows(&self, limit: i64) -> Result<u64, Error> {
        let swept = sqlx::query!(
            "delete from external_flows where id = any(array
               (select id from external_flows where expires_at <= $1
                order by expires_at limit $2 for update skip locked))",
            self.clock.now(),
            limit,
        );
        Ok(swept.execute(&self.database).await?.rows_affected())
    }
}

/// A session that is there no more, by the name of the constraint: it has ended since it was looked at.
fn ended(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("external_flows_session_id_fkey") => Error::SessionEnded,
        _ => error.into(),
    }
}

/// Ends a flow, in the transaction of what it was for; [`DomainError::WrongFlow`] when somebody else has done so.
pub(super) async fn end_flow(tx: &mut PgConnection, flow: Uuid) -> Result<(), Error> {
    let ended = sqlx::query!("delete from external_flows where id = $1", flow);
    match ended.execute(tx).await?.rows_affected() {
        0 => Err(DomainError::WrongFlow.into()),
        _ => Ok(()),
    }
}

/// Ends all flows of a user that link: what makes an account safe again is not to be undone by one that somebody else
/// has begun before in a session that goes on.
pub(super) async fn end_link_flows(tx: &mut PgConnection, user: UserId) -> Result<(), Error> {
    sqlx::query!(
        "delete from external_flows
         where session_id in (select id from sessions where user_id = $1)",
        user.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
