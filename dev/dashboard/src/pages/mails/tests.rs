use std::fs;

use axum::body::Body;
use axum::http::header;

use crate::pages::testing::{Fixture, fixture, request, text};

const ID: &str = "01a225b9-7f71-7764-a12e-4e3fb3e02839";
const MAIL: &str = "From: no-reply@example.com\r\nTo: ada@example.com\r\nSubject: <b>Hi</b>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <p>Hello</p><script>steal()</script>\r\n";

fn with_mail() -> Fixture {
    let fixture = fixture();
    let folder = fixture.folder().join("mail");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(format!("{ID}.eml")), MAIL).unwrap();
    fixture
}

#[tokio::test]
async fn mails_are_listed_and_filtered_also_while_the_database_is_away() {
    let fixture = with_mail();
    let page = fixture.get("/mails").await;
    assert!(page.contains("&lt;b&gt;Hi&lt;/b&gt;"), "{page}");
    assert!(page.contains("the system has no such service"), "{page}");
    assert!(!fixture.get("/mails?filter=bob").await.contains(ID));
    assert!(fixture.get("/mails?filter=ADA").await.contains(ID));
}

#[tokio::test]
async fn the_markup_of_a_mail_is_in_a_frame_that_runs_and_loads_nothing() {
    let fixture = with_mail();
    let page = fixture.get(&format!("/mails/{ID}")).await;
    assert!(
        page.contains("<iframe class=\"mail\" title=\"The mail as HTML\" sandbox=\"\""),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;steal()"), "the source is text: {page}");
    assert!(!page.contains("<script>steal"), "{page}");

    let framed = request(&format!("/mails/{ID}/html")).body(Body::empty()).unwrap();
    let framed = fixture.send(framed).await;
    let policy = framed.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';") && policy.ends_with("; sandbox"), "{policy}");
    assert!(text(framed).await.contains("<p>Hello</p>"));
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_no_mail() {
    let fixture = with_mail();
    fs::write(fixture.folder().join("state.eml"), "Subject: secret\r\n\r\n").unwrap();
    for path in ["/mails/..%2Fstate", "/mails/..%2Fstate/source", "/mails/none/html"] {
        let response = fixture.send(request(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 404, "{path}");
    }
}
