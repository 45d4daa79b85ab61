//! The `type` of a problem document leads to a page, and the pages are in `docs/problems.md`.

use std::collections::BTreeSet;
use std::fmt::Write;

use axum::Router;
use chassis::problem::kind;

use crate::{TestApp, settings};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems.md");

#[tokio::test]
async fn the_type_of_a_problem_leads_to_a_page_that_says_what_it_means() {
    let app = TestApp::start(settings(), Router::new()).await;
    let problem: serde_json::Value = app.get("/nowhere").await.json().await.unwrap();
    let page = app.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().contains(kind::NOT_FOUND.meaning));
    let index = app.get("/problems").await.text().await.unwrap();
    for kind in kind::ALL {
        let path = format!("/problems/{}", kind.name);
        assert!(index.contains(&format!("\"{path}\"")), "{path}");
        assert!(app.get(&path).await.text().await.unwrap().contains(kind.title), "{path}");
    }
    for nothing in ["/problems/nothing", "/problems/%3Cscript%3E", "/problems/validation/x"] {
        let answer = app.get(nothing).await;
        assert_eq!(answer.status(), 404, "{nothing}");
        assert!(!answer.text().await.unwrap().contains("script"), "{nothing}");
    }
}

/// When a change is meant, run `UPDATE_GOLDEN=1 cargo dev test -- -p chassis -E 'test(kinds)'`.
#[test]
fn the_document_of_problems_says_what_the_list_says() {
    let mut document = "# Problems\n\nThe `type` of each problem document (RFC 9457) that a service \
                        answers with, such as `/problems/validation`,\nleads to a page of that service; \
                        this is all of them. Made from `crates/chassis/src/problem/kind.rs`.\n"
        .to_owned();
    for kind in kind::ALL {
        let name = kind.name;
        let status = kind.status.as_u16();
        let title = kind.title;
        write!(document, "\n## {name}\n\n{status}: {title}. {}\n", kind.meaning).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &document).unwrap();
    }
    assert_eq!(std::fs::read_to_string(GOLDEN).unwrap_or_default(), document);
    let names: BTreeSet<_> = kind::ALL.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), kind::ALL.len(), "two kinds have one name");
    assert!(kind::ALL.is_sorted_by_key(|kind| kind.status));
}
