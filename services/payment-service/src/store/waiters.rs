//! Requests that wait for the outcome of a payment.
//!
//! A settlement in this process wakes those who wait for that payment, and nobody else. What another
//! process settles is looked for by one statement for all who wait, however many they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::PaymentId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Store;
use crate::error::Error;

/// How often it is looked for what other processes have settled.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Who waits, by payment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// A sender that is dropped says that its payment is settled.
    payments: HashMap<PaymentId, watch::Sender<()>>,
    last_look: Option<Instant>,
}

/// One request that waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    payment: PaymentId,
    settled: watch::Receiver<()>,
    waiters: Waiters,
}

impl Waiters {
    fn wait_for(&self, payment: PaymentId) -> Waiter {
        let mut waiting = self.waiting();
        let sender = waiting.payments.entry(payment).or_insert_with(|| watch::Sender::new(()));
        Waiter { payment, settled: sender.subscribe(), waiters: self.clone() }
    }

    /// Wakes those who wait for a payment.
    pub(super) fn wake(&self, payment: PaymentId) {
        self.waiting().payments.remove(&payment);
    }

    /// What is waited for, when it is time to look: for one caller of all that ask.
    fn to_look_for(&self) -> Option<Vec<PaymentId>> {
        let mut waiting = self.waiting();
        if waiting.last_look.is_some_and(|last| last.elapsed() < LOOK_INTERVAL) {
            return None;
        }
        waiting.last_look = Some(Instant::now());
        Some(waiting.payments.keys().copied().collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Ends when the payment was settled after this waiter was made.
    async fn settled(&mut self) {
        // Nothing is ever sent: it ends with the sender.
        let _ = self.settled.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting();
        let sender = waiting.payments.get(&self.payment);
        if sender.is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.payments.remove(&self.payment);
        }
    }
}

impl Store {
    /// Waits for a payment from now on: get it before reading the payment's state, and hand it to
    /// [`settled`](Self::settled) after.
    pub(crate) fn wait_for(&self, payment: PaymentId) -> Waiter {
        self.waiters.wait_for(payment)
    }

    /// Ends when the payment may have been settled, by whatever process.
    pub(crate) async fn settled(&self, mut waiter: Waiter) -> Result<(), Error> {
        loop {
            tokio::select! {
                () = waiter.settled() => return Ok(()),
                () = tokio::time::sleep(LOOK_INTERVAL) => self.look_for_settled().await?,
            }
        }
    }

    /// Wakes those whose payments another process has settled.
    async fn look_for_settled(&self) -> Result<(), Error> {
        let Some(payments) = self.waiters.to_look_for() else { return Ok(()) };
        let payments: Vec<_> = payments.into_iter().map(PaymentId::as_uuid).collect();
        let settled = sqlx::query_scalar!(
            "select id from payments where id = any($1) and status <> 'processing'",
            &payments,
        );
        for id in settled.fetch_all(&self.database).await? {
            self.waiters.wake(PaymentId::from_uuid(id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn payment() -> PaymentId {
        PaymentId::from_uuid(chassis::Clock::system().new_id())
    }

    #[tokio::test]
    async fn a_settlement_wakes_all_who_wait_for_that_payment_and_nobody_else() {
        let waiters = Waiters::default();
        let one = payment();
        let other = payment();
        let mut of_one = [waiters.wait_for(one), waiters.wait_for(one)];
        let mut of_other = waiters.wait_for(other);
        waiters.wake(one);
        for waiter in &mut of_one {
            assert!(waiter.settled().now_or_never().is_some());
        }
        assert!(of_other.settled().now_or_never().is_none());
        assert!(waiters.wait_for(one).settled().now_or_never().is_none(), "it came after");
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_all_who_wait_looks_for_all_payments_once_in_an_interval() {
        let waiters = Waiters::default();
        let one = payment();
        let other = payment();
        let _waiting = (waiters.wait_for(one), waiters.wait_for(one), waiters.wait_for(other));
        for _ in 0..2 {
            let mut looked_for = waiters.to_look_for().expect("it is time");
            looked_for.sort_unstable();
            let mut expected = [one, other];
            expected.sort_unstable();
            assert_eq!(looked_for, expected);
            assert_eq!(waiters.to_look_for(), None);
            tokio::time::advance(LOOK_INTERVAL).await;
        }
    }

    #[tokio::test]
    async fn a_payment_for_which_nobody_waits_any_more_is_forgotten() {
        let waiters = Waiters::default();
        let payment = payment();
        let first = waiters.wait_for(payment);
        let second = waiters.wait_for(payment);
        drop(first);
        assert_eq!(waiters.waiting().payments.len(), 1);
        drop(second);
        assert!(waiters.waiting().payments.is_empty());
    }
}
