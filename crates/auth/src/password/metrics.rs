//! How many passwords are hashed, and how many callers wait or are refused.

use resilience::bulkhead::Bulkhead;
use telemetry::metrics::{at_scrape, counter, gauge, whole};

/// Counts callers for whom no place was free; 0 to have the series from the beginning, so that the
/// first one is an increase too.
pub(super) fn refused(callers: u64) {
    let help = "Passwords that were not hashed because no place was free in time.";
    let refused = counter("auth_password_hashes_refused_total", help, &[]);
    refused.with_label_values::<&str>(&[]).inc_by(callers);
}

/// Shows the limit of hashing, how much of it is taken, and who waits.
pub(super) fn show(places: Bulkhead) {
    refused(0);
    let of = |name, help| gauge(name, help, &[]).with_label_values::<&str>(&[]);
    let help = "Passwords that may be hashed at a time.";
    of("auth_password_hashes_in_flight_max", help).set(whole(places.capacity()));
    let in_flight = of("auth_password_hashes_in_flight", "Passwords that are hashed.");
    let waiting = of("auth_password_hashes_waiting", "Callers who wait for a password's hash.");
    at_scrape(move || {
        in_flight.set(whole(places.in_use()));
        waiting.set(whole(places.waiting()));
    });
}
