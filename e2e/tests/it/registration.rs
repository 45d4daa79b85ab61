//! Instances of user-service that register themselves: found while they run, left before they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::native::{Etcd, ServerOptions};
use testkit::{ServiceProcess, eventually};

use crate::calls::{CALLERS, CALLS, metric, pay};
use crate::system::Fixture;

/// A real etcd stands between them; `services.tsk` names an address at which nobody listens.
#[tokio::test]
async fn instances_come_and_drain_under_load_through_etcd_and_no_call_is_lost_or_repeated() {
    let etcd = Etcd::start(&ServerOptions::temporary().unwrap()).unwrap();
    let fixture = Fixture::set_up().await;
    let through_etcd = [
        ("SERVICE_DISCOVERY_TYPE", "etcd".to_owned()),
        ("ETCD_ENDPOINTS", etcd.url()),
        ("SERVICE_ADVERTISE_HOST", "127.0.0.1".to_owned()),
        // Callers hear of it within milliseconds; the port stays open for so long.
        ("DRAIN_DELAY", "1s".to_owned()),
    ];
    let through_etcd = through_etcd.map(|(name, value)| (name.to_owned(), value));
    let mut users = fixture.environment(0);
    users.extend(through_etcd.clone());
    let mut leaving = ServiceProcess::start("user-service", &users).await;
    let mut system = fixture
        .start_with(users.clone(), async |_| {
            let nowhere = ("USER_SERVICE_PORT".to_owned(), "1".to_owned());
            through_etcd.into_iter().chain([nowhere]).collect()
        })
        .await;
    let user = system.new_user().await;
    eventually("payment-service knows both", async || {
        let known = "discovery_instances{health=\"healthy\",service=\"user-service\"}";
        (metric(&system.payments, known).await == 2).then_some(())
    })
    .await;

    let answered = Arc::new(AtomicUsize::new(0));
    let draining = async {
        eventually("the load is under way", async || {
            (answered.load(Ordering::SeqCst) > CALLERS * CALLS / 4).then_some(())
        })
        .await;
        leaving.terminate().await
    };
    let (answers, ended) = tokio::join!(pay(&system, &user.token, &answered), draining);
    assert!(ended.success(), "{}", leaving.log_tail());
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != 201).collect();
    assert!(refused.is_empty(), "{refused:?}\n{}", system.payments.log_tail());
    // The port is closed by now: who still knew of it would try it and call again.
    for number in 0..20 {
        let paid = system.pay(&user.token, &format!("order-late-{number}"), "pm_card_visa").await;
        assert_eq!(paid.status(), 201);
    }
    let retries =
        metric(&system.payments, "service_call_retries_total{service=\"user-service\"}").await;
    assert_eq!(retries, 0, "a drained instance was called");

    // One that comes takes the place of one that goes.
    let _coming = ServiceProcess::start("user-service", &users).await;
    system.users.terminate().await;
    let paid = eventually("the new instance is found", async || {
        let paid = system.pay(&user.token, "order-after", "pm_card_visa").await;
        (paid.status() == 201).then_some(paid)
    });
    paid.await;
}
