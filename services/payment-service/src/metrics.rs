//! What this service counts of payments.
//!
//! | family | tells |
//! |---|---|
//! | `payments_settled_total{outcome}` | payments settled by this process: `succeeded`, `declined` by the card, `refused` by the provider, `canceled` because they were not charged in time |
//! | `payments_unsettled_age_seconds` | age of the oldest payment, of all processes, of which it is not known what became of it |

use std::convert::Infallible;
use std::time::Duration;

use chassis::CancellationToken;
use telemetry::metrics::{counter, gauge};
use tokio::time::sleep;

use crate::store::Store;

/// How often the age is measured.
const INTERVAL: Duration = Duration::from_secs(5);

/// How a payment was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Succeeded,
    Declined,
    Refused,
    Canceled,
}

impl Settled {
    const ALL: [Self; 4] = [Self::Succeeded, Self::Declined, Self::Refused, Self::Canceled];

    fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Declined => "declined",
            Self::Refused => "refused",
            Self::Canceled => "canceled",
        }
    }
}

/// Counts a payment that was settled.
pub(crate) fn settled(how: Settled) {
    count(how, 1);
}

fn count(how: Settled, payments: u64) {
    let help = "Payments settled, by how they ended.";
    let settled = counter("payments_settled_total", help, &["outcome"]);
    settled.with_label_values(&[how.as_str()]).inc_by(payments);
}

/// Keeps the age of the oldest payment that is not settled, until `shutdown`. While the database is
/// away it stays what it was.
pub(crate) async fn keep(store: Store, shutdown: CancellationToken) -> Result<(), Infallible> {
    // From 0 on: the first one of a kind is an increase.
    for how in Settled::ALL {
        count(how, 0);
    }
    let help = "Age of the oldest payment whose outcome is not known, in seconds.";
    let age = gauge("payments_unsettled_age_seconds", help, &[]);
    let measure = async {
        loop {
            match store.unsettled_age().await {
                Ok(oldest) => {
                    let seconds = i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX);
                    age.with_label_values::<&str>(&[]).set(seconds);
                }
                Err(error) => tracing::debug!(error = %error, "payments were not measured"),
            }
            sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(measure).await;
    Ok(())
}
