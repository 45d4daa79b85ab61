//! What keeps a sign-in by the external issuer from being somebody else's: secrets, tokens, keys, faults.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use testkit::ServiceProcess;
use tokio::net::TcpListener;

use crate::app::TestApp;
use crate::external::{EXPIRED, Flow, kind};
use crate::issuer::{CLIENT, Callback, Issuer, Mood, Person, SECRET, Signed};

/// What an ID token says otherwise.
type Change = fn(&mut Value);

const CODE: (&str, &str) = ("/code", "is not what the issuer has given for this");

/// The field that a problem is about, and what it says of it.
fn field(problem: &Value) -> (&str, &str) {
    let text = |key| problem["errors"][0][key].as_str().unwrap_or_default();
    (text("pointer"), text("detail"))
}

#[tokio::test]
async fn a_flow_is_good_once_in_its_own_browser_with_its_own_state_and_code() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let person = Person::new();
    let flow = app.begin().await;
    let other = app.begin().await;
    let back = issuer.agrees(&flow.url, &person);
    let wrong = |what: &str| {
        let (mut back, mut flow) = (back.clone(), flow.clone());
        match what {
            "state of another flow" => back.state = other.state(),
            "state that nobody made" => back.state = "x".repeat(43),
            "empty state" => back.state = String::new(),
            "secret of another browser" => flow.secret.clone_from(&other.secret),
            "no secret" => flow.secret = String::new(),
            _ => unreachable!(),
        }
        (flow, back)
    };
    for what in [
        "state of another flow",
        "state that nobody made",
        "empty state",
        "secret of another browser",
        "no secret",
    ] {
        let (flow, back) = wrong(what);
        let refused = app.complete(&flow, &back, &issuer.url).await;
        assert_eq!((refused.0, field(&refused.1)), (422, EXPIRED), "{what}");
    }
    assert_eq!(issuer.tokens_asked(), 0, "the issuer is not asked for strangers");
    // None of that has harmed the flow; the same again is refused.
    assert_eq!(app.complete(&flow, &back, &issuer.url).await.0, 201);
    let again = app.complete(&flow, &back, &issuer.url).await;
    assert_eq!((again.0, field(&again.1)), (422, EXPIRED));

    // A code is good for the flow that it was given for: a stranger's, brought into one's own, is not (PKCE).
    let stranger = app.begin().await;
    let stolen = issuer.agrees(&stranger.url, &Person::new());
    let own = app.begin().await;
    let injected = Callback { state: own.state(), ..stolen };
    let refused = app.complete(&own, &injected, &issuer.url).await;
    assert_eq!((refused.0, field(&refused.1)), (422, CODE));
    // A code that was used.
    let third = app.begin().await;
    let replayed = Callback { code: back.code.clone(), state: third.state() };
    let refused = app.complete(&third, &replayed, &issuer.url).await;
    assert_eq!((refused.0, field(&refused.1)), (422, CODE));

    // Too late.
    let late = app.begin().await;
    let back = issuer.agrees(&late.url, &person);
    let pool = app.database.pool().await;
    let expire = "update external_flows set expires_at = now() - interval '1 second'";
    sqlx::query(expire).execute(&pool).await.unwrap();
    let refused = app.complete(&late, &back, &issuer.url).await;
    assert_eq!((refused.0, field(&refused.1)), (422, EXPIRED));
}

#[tokio::test]
async fn of_many_who_complete_one_flow_at_once_one_is_signed_in() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    for _ in 0..3 {
        let flow = app.begin().await;
        let back = issuer.agrees(&flow.url, &Person::new());
        let all = (0..8).map(|_| app.complete(&flow, &back, &issuer.url));
        let all: Vec<u16> = join_all(all).await.into_iter().map(|answer| answer.0).collect();
        assert_eq!(all.iter().filter(|status| **status == 201).count(), 1, "{all:?}");
        assert_eq!(all.iter().filter(|status| **status == 422).count(), 7, "{all:?}");
    }
    assert_eq!(app.count("select count(*) from users").await, 3);
    assert_eq!(app.count("select count(*) from sessions").await, 3);
}

#[tokio::test]
async fn an_id_token_is_believed_only_if_all_of_it_is_right() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let person = Person::new();
    let wrong: [(&str, Change); 16] = [
        ("another nonce", |claims| claims["nonce"] = json!("another")),
        ("no nonce", |claims| drop(claims.as_object_mut().unwrap().remove("nonce"))),
        ("another audience", |claims| claims["aud"] = json!("another")),
        ("other audiences", |claims| claims["aud"] = json!(["one", "two"])),
        ("more audiences, made for nobody", |claims| claims["aud"] = json!([CLIENT, "two"])),
        ("made for another", |claims| claims["azp"] = json!("another")),
        ("another issuer", |claims| claims["iss"] = json!("https://issuer.example.com")),
        ("the issuer with a slash", |claims| {
            claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()));
        }),
        ("no issuer", |claims| drop(claims.as_object_mut().unwrap().remove("iss"))),
        ("expired", |claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 61)),
        ("no end", |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("issued too early", |claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() - 700)),
        ("issued in the future", |claims| {
            claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 300);
        }),
        ("not valid yet", |claims| claims["nbf"] = json!(claims["iat"].as_i64().unwrap() + 300)),
        ("about nobody", |claims| claims["sub"] = json!("")),
        ("about too much", |claims| claims["sub"] = json!("x".repeat(256))),
    ];
    for (what, change) in wrong {
        let flow = app.begin().await;
        let back = issuer.says(&flow.url, &person, Signed::Well, change);
        let refused = app.complete(&flow, &back, &issuer.url).await;
        assert_eq!((refused.0, field(&refused.1)), (422, CODE), "{what}");
    }
    for signed in [Signed::Not, Signed::ByPublicKey, Signed::ByAnother] {
        let flow = app.begin().await;
        let back = issuer.says(&flow.url, &person, signed, |_| {});
        let refused = app.complete(&flow, &back, &issuer.url).await;
        assert_eq!((refused.0, field(&refused.1)), (422, CODE), "{signed:?}");
    }
    assert_eq!(app.count("select count(*) from users").await, 0);

    let right: [(&str, Change); 2] = [
        ("one audience of a list", |claims| claims["aud"] = json!([CLIENT])),
        ("more audiences, made for us", |claims| {
            claims["aud"] = json!([CLIENT, "two"]);
            claims["azp"] = json!(CLIENT);
        }),
    ];
    for (what, change) in right {
        let flow = app.begin().await;
        let back = issuer.says(&flow.url, &person, Signed::Well, change);
        assert_eq!(app.complete(&flow, &back, &issuer.url).await.0, 201, "{what}");
    }
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_where_the_issuer_names_itself() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    for iss in [json!("https://issuer.example.com"), json!(format!("{}/", issuer.url)), json!(null)]
    {
        let flow = app.begin().await;
        let back = issuer.agrees(&flow.url, &Person::new());
        let mut body = flow.body(&back, &issuer.url);
        body["iss"] = iss.clone();
        let refused = app.completed(&body).await;
        assert_eq!((refused.0, field(&refused.1).0), (422, "/iss"), "{iss}");
    }
    assert_eq!(issuer.tokens_asked(), 0, "no code of one issuer goes to another");
}

#[tokio::test]
async fn rotated_keys_are_fetched_when_they_are_needed_and_not_for_everybody_who_names_one() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let person = Person::new();
    assert_eq!(app.let_in(&issuer, &person).await.0, 201);
    assert_eq!(app.let_in(&issuer, &person).await.0, 201);
    assert_eq!(issuer.keys_read(), 1, "they are kept");
    issuer.rotate("second");
    assert_eq!(app.let_in(&issuer, &person).await.0, 201);
    assert_eq!(issuer.keys_read(), 2);
    // Once more within the minute: nobody is asked.
    issuer.rotate("third");
    let refused = app.let_in(&issuer, &person).await;
    assert_eq!((refused.0, field(&refused.1)), (422, CODE));
    assert_eq!(issuer.keys_read(), 2);
}

#[tokio::test]
async fn while_the_issuer_fails_the_answer_is_503_and_the_same_flow_is_good_later() {
    let (app, issuer) = TestApp::with_issuer(&[("EXTERNAL_ISSUER_TIMEOUT", "3s")]).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to_trap = format!("http://{}/", trap.local_addr().unwrap());
    let person = Person::new();
    let flow = app.begin().await;
    let back = issuer.agrees(&flow.url, &person);
    for mood in [Mood::Fails, Mood::Endless, Mood::SendsTo(to_trap), Mood::Hangs] {
        issuer.answers(mood.clone());
        let request = app.request(reqwest::Method::POST, "/api/external-sessions/complete");
        let answer = request.json(&flow.body(&back, &issuer.url)).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{mood:?}");
        assert!(answer.headers().contains_key("retry-after"), "{mood:?}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(kind(&problem), "unavailable", "{mood:?}");
        for secret in [&back.code, &back.state, &flow.secret] {
            assert!(!problem.to_string().contains(secret.as_str()), "{problem}");
        }
    }
    let nobody = futures_util::poll!(std::pin::pin!(trap.accept()));
    assert!(nobody.is_pending(), "a redirect is followed by nobody");
    issuer.answers(Mood::Well);
    assert_eq!(app.complete(&flow, &back, &issuer.url).await.0, 201);
}

/// What is known of it is not there yet: each who comes would wait for whoever reads it.
#[tokio::test]
async fn an_issuer_that_hangs_keeps_some_requests_waiting_and_refuses_more_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let issuer = Issuer::start().await;
    let mut variables = issuer.variables().to_vec();
    variables[0].1 = &url;
    variables.push(("EXTERNAL_ISSUER_TIMEOUT", "10s"));
    let app = TestApp::start_with(&variables).await;
    let request = || app.request(reqwest::Method::POST, "/api/external-sessions").send();
    let mut asked: FuturesUnordered<_> = (0..100).map(|_| request()).collect();
    // Of a hundred, sixteen ask, sixty-four wait: the rest is answered while the issuer is silent.
    for _ in 0..20 {
        assert_eq!(asked.next().await.unwrap().unwrap().status(), 503);
    }
    assert!(futures_util::poll!(asked.next()).is_pending(), "the others wait");
}

/// The code is good once: it is shown to nobody while its answer could not be verified.
#[tokio::test]
async fn a_code_is_kept_while_the_keys_cannot_be_read() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let flow = app.begin().await;
    let back = issuer.agrees(&flow.url, &Person::new());
    issuer.shows_keys(false);
    assert_eq!(app.complete(&flow, &back, &issuer.url).await.0, 503);
    assert_eq!(issuer.tokens_asked(), 0);
    issuer.shows_keys(true);
    assert_eq!(app.complete(&flow, &back, &issuer.url).await.0, 201);
}

#[tokio::test]
async fn what_is_no_code_is_refused_and_is_no_fault_of_the_issuer() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let flow = app.begin().await;
    let mut back = issuer.agrees(&flow.url, &Person::new());
    back.code = String::new();
    issuer.answers(Mood::Misses);
    let refused = app.complete(&flow, &back, &issuer.url).await;
    assert_eq!(refused.0, 422, "{}", refused.1);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_or_is_another_keeps_no_service_from_starting() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nowhere = format!("http://{nowhere}");
    let issuer = Issuer::start().await;
    // Its metadata names it without the slash.
    let another = format!("{}/", issuer.url);
    for url in [&nowhere, &another] {
        let mut variables = issuer.variables();
        variables[0].1 = url;
        let app = TestApp::start_with(&variables).await;
        let request = app.request(reqwest::Method::POST, "/api/external-sessions");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503, "{url}");
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(app.count("select count(*) from external_flows").await, 0);
    }
}

#[tokio::test]
async fn flows_keep_no_secret_and_show_none() {
    let (app, issuer) = TestApp::with_issuer(&[]).await;
    let person = Person::new();
    let flow: Flow = app.begin().await;
    let back = issuer.agrees(&flow.url, &person);
    let pool = app.database.pool().await;
    let rows = "select coalesce(string_agg(flow::text, ' '), '') from external_flows flow";
    let kept: String = sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap();
    assert!(!kept.is_empty());
    for secret in [&flow.secret, &back.state, &back.code] {
        assert!(!kept.contains(secret.as_str()), "{kept}");
        let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert!(!kept.contains(&hex), "{kept}");
    }
    assert!(!flow.url.contains(&flow.secret), "the issuer learns nothing of the browser's secret");
}

#[tokio::test]
async fn what_goes_to_the_issuer_and_comes_back_is_in_no_log_metric_or_error() {
    let issuer = Issuer::start().await;
    let (database, broker) = tokio::join!(testkit::database("external"), testkit::broker());
    let mut environment = testkit::environment(&database, &broker);
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    environment.extend(issuer.variables().map(own));
    environment.insert("LOG_FILTER".to_owned(), "trace".to_owned());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_user-service"));
    let mut service = ServiceProcess::spawn_at(binary, &environment);
    service.wait_until_ready().await;
    let http = reqwest::Client::new();
    let post = async |path: &str, body: &Value| {
        let answer = http.post(service.url(path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let person = Person::new();
    let mut secrets = vec![person.subject.clone(), person.email.clone(), SECRET.to_owned()];
    let faults: [(u16, Mood, Change); 4] = [
        (201, Mood::Well, |_| {}),
        (422, Mood::Well, |claims| claims["nonce"] = json!("another")),
        (422, Mood::Well, |claims| {
            claims["sub"] = json!("somebody else");
            claims["email_verified"] = json!(false);
        }),
        (503, Mood::Fails, |_| {}),
    ];
    for (status, mood, change) in faults {
        let (begun, text) = post("/api/external-sessions", &json!({})).await;
        assert_eq!(begun, 201, "{text}");
        let flow = Flow::of(&serde_json::from_str(&text).unwrap());
        let back = issuer.says(&flow.url, &person, Signed::Well, change);
        issuer.answers(mood);
        let body = flow.body(&back, &issuer.url);
        let (answered, text) = post("/api/external-sessions/complete", &body).await;
        assert_eq!(answered, status, "{text}");
        secrets.extend([flow.secret, back.code, back.state]);
        let leaks = secrets.iter().filter(|secret| text.contains(secret.as_str()));
        assert_eq!(leaks.count(), 0, "{text}");
    }
    let metrics = http.get(service.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("user_external_sign_ins_total{outcome=\"registered\"} 1"),
        "{metrics}"
    );
    testkit::eventually("all of it is in the log", async || {
        let log = service.log();
        log.contains("the external issuer cannot be asked").then_some(())
    })
    .await;
    let log = service.log();
    for place in [&log, &metrics] {
        for secret in &secrets {
            assert!(!place.contains(secret.as_str()), "{secret}");
        }
        assert!(!place.contains("eyJ"), "a token");
    }
}
