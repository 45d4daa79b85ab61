//! The dead-letter queues of the three services, over their admin routes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;

use crate::system::{Fixture, System, administrator};

#[tokio::test]
async fn every_service_shows_its_dead_letter_queue_to_administrators_alone() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let admin = administrator(&users);
    let system = fixture.start(users).await;
    let user = system.new_user().await;
    for service in [&system.users, &system.payments, &system.notifications] {
        let queue = format!("{}.events", service.name());
        let url = |rest: &str| service.url(&format!("/admin/queues{rest}"));
        let status = async |method: Method, rest: String, token: Option<&str>| {
            let request = system.request(method, &url(&rest)).json(&json!({"filter": {}}));
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            request.send().await.unwrap().status()
        };
        for (method, rest) in [
            (Method::GET, String::new()),
            (Method::GET, format!("/{queue}/dead-letters")),
            (Method::GET, format!("/{queue}/dead-letters/1")),
            (Method::POST, format!("/{queue}/replay")),
            (Method::POST, format!("/{queue}/discard")),
        ] {
            let name = format!("{} {method} {rest}", service.name());
            let nobody = status(method.clone(), rest.clone(), None).await;
            assert_eq!(nobody, StatusCode::UNAUTHORIZED, "{name}");
            let user = status(method, rest, Some(&user.token)).await;
            assert_eq!(user, StatusCode::FORBIDDEN, "{name}");
        }
        let queues = system.get(&url(""), &admin).await;
        assert_eq!(queues[0]["queue"], queue, "{queues}");
        assert_eq!(queues[0]["dead_letters"], 0, "{queues}");
    }
}

#[tokio::test]
async fn a_message_of_an_unknown_type_is_dead_lettered_shown_and_discarded() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let admin = administrator(&users);
    let vhost = fixture.broker.vhost.clone();
    let system = fixture.start(users).await;
    let body = json!({"event_type": "user.promoted", "data": {"to": "queen"},
        "timestamp": "2026-01-15T09:30:00Z", "service": "somebody"});

    publish(&vhost, "payment-service.events", &body).await;
    let queue = "/admin/queues/payment-service.events";
    let dead_letter = eventually("it is dead-lettered", async || {
        let url = system.payments.url(&format!("{queue}/dead-letters?type=user.promoted"));
        let listed = system.get(&url, &admin).await;
        listed["items"].as_array()?.first().cloned()
    })
    .await;

    assert_eq!(dead_letter["cause"], "no handler for its event type");
    assert!(!dead_letter.to_string().contains("queen"), "{dead_letter}");
    let id = dead_letter["id"].as_str().unwrap();
    let url = system.payments.url(&format!("{queue}/dead-letters/{id}"));
    assert_eq!(system.get(&url, &admin).await["payload"], body);
    let filter = json!({"id": id});
    let asked = discard(&system, &admin, json!({"filter": filter})).await;
    assert_eq!((&asked["matched"], &asked["discarded"]), (&json!(1), &json!(0)));
    let confirmed = json!({"filter": filter, "confirmation": asked["confirmation"]});
    assert_eq!(discard(&system, &admin, confirmed).await["discarded"], 1);
}

pub(crate) async fn discard(system: &System, token: &str, body: Value) -> Value {
    let url = system.payments.url("/admin/queues/payment-service.events/discard");
    let request = system.request(Method::POST, &url).bearer_auth(token).json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

/// Publishes as an operator would, by the management interface.
pub(crate) async fn publish(vhost: &str, queue: &str, body: &Value) {
    let api = &testkit::addresses().rabbitmq_api;
    let url = format!("{api}/api/exchanges/{vhost}/amq.default/publish");
    let message = json!({"properties": {}, "routing_key": queue, "payload": body.to_string(),
        "payload_encoding": "string"});
    let answer = reqwest::Client::new().post(url).json(&message).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["routed"], true);
}
