//! The dashboard over a folder of a test's own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header, request};
use axum::response::Response;
use tower::ServiceExt;

use crate::app::{App, Parts};
use crate::settings::Settings;

const TOKEN: &str = "a-token";

pub(crate) struct Fixture {
    pub(crate) app: App,
    folder: tempfile::TempDir,
}

/// A system of which nothing is known.
pub(crate) fn fixture() -> Fixture {
    fixture_of(3_000, "exit 0")
}

/// The same with a script in the place of the tool.
pub(crate) fn fixture_with(script: &str) -> Fixture {
    fixture_of(3_000, script)
}

/// The same, at a port of its own.
pub(crate) fn fixture_at(port: u16) -> Fixture {
    fixture_of(port, "exit 0")
}

fn fixture_of(port: u16, script: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("tool");
    std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o700)).unwrap();
    let settings = Settings {
        port,
        token: TOKEN.to_owned(),
        folder: folder.path().to_owned(),
        root: folder.path().to_owned(),
        tool,
        namespace: String::new(),
    };
    Fixture { app: Parts::new(settings).unwrap(), folder }
}

impl Fixture {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response {
        let host = format!("localhost:{}", self.app.settings.port);
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        crate::server::router(self.app.clone()).oneshot(request).await.unwrap()
    }

    /// What a page or a route of the API gives to whoever has the token.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = request(path).body(Body::empty()).unwrap();
        let response = self.send(request).await;
        let status = response.status();
        let text = text(response).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }
}

pub(crate) fn request(path: &str) -> request::Builder {
    Request::builder().uri(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

pub(crate) async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 64 << 20).await.unwrap().into()).unwrap()
}
