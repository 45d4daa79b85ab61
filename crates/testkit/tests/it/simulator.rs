//! The payment provider's simulator, over real HTTP.

mod faults;
mod idempotency;
mod intents;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use testkit::simulator::Simulator;

/// A simulator, and a client that speaks to it as a service does.
struct Provider {
    simulator: Simulator,
    client: reqwest::Client,
}

/// What came back.
struct Answer {
    status: StatusCode,
    request_id: String,
    replayed: bool,
    body: Value,
}

impl Provider {
    async fn start() -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator: Simulator::start().await, client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.simulator.url());
        self.client.request(method, url).bearer_auth("sk_test_of_this_test")
    }

    /// A POST with Stripe's form encoding.
    fn post(&self, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        let body = url_encoded(parameters);
        self.request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// A payment of 19.99 EUR, confirmed at once, as the payment service asks for it.
    fn pay(&self, payment_method: &str) -> RequestBuilder {
        self.post("/v1/payment_intents", &payment(payment_method))
    }
}

fn payment(payment_method: &str) -> Vec<(&str, &str)> {
    vec![
        ("amount", "1999"),
        ("currency", "eur"),
        ("payment_method", payment_method),
        ("confirm", "true"),
        ("error_on_requires_action", "true"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("metadata[payment_id]", "0198c0de"),
    ]
}

fn url_encoded(parameters: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://localhost").unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.query().unwrap_or_default().to_owned()
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status(),
        request_id: header("request-id").unwrap(),
        replayed: header("idempotent-replayed").as_deref() == Some("true"),
        body: response.json().await.unwrap(),
    }
}
