use axum::body::Body;
use axum::http::{Method, header};

use crate::pages::testing::{fixture, request, text};

#[tokio::test]
async fn a_page_says_what_does_not_answer_and_is_there_all_the_same() {
    let fixture = fixture();
    let page = fixture.get("/messages").await;
    assert!(page.contains("the address of RabbitMQ's management API is not known"), "{page}");
    for path in ["/messages/events?since=yesterday", "/data", "/data/redis"] {
        let page = fixture.get(path).await;
        assert!(path == "/data" || page.contains("role=\"alert\""), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_discard_is_asked_again_and_acts_only_by_a_post() {
    let fixture = fixture();
    let path = "/messages/discard?service=user-service&queue=user-service.events&id=%3Cb%3E";
    let page = fixture.get(path).await;
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    assert!(page.contains("method=\"post\" action=\"/messages/dead-letters/discard\""), "{page}");
    let by_get = request("/messages/dead-letters/discard?id=a").body(Body::empty()).unwrap();
    assert_eq!(fixture.send(by_get).await.status(), 405);
    assert!(fixture.app.tool.done().is_empty());

    let form = request("/messages/dead-letters/discard")
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("service=user-service&queue=user-service.events&id=a"))
        .unwrap();
    let response = fixture.send(form).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()[header::LOCATION]),
        (303, &"/messages".parse().unwrap())
    );
    drop(text(response).await);
    let command = fixture.app.tool.done()[0].command.clone();
    assert_eq!(command, "cargo dev queues discard --id=a --service=user-service --yes");
    let page = fixture.get("/messages").await;
    assert!(page.contains(&command), "what was done is shown: {page}");
}
