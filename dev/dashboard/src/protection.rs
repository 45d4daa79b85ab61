//! Who may ask. The port is open to every program of this machine, and by way of a browser to every
//! page of the world that guesses it, so that:
//!
//! - the `Host` has to be this machine's own name, against names that are made to point here;
//! - an `Origin`, where a browser sends one, has to be the dashboard's own;
//! - who sees or does anything has the token of the URL that `cargo dev up` prints, in a cookie or as a
//!   bearer;
//! - what acts is a POST, and has a token of its own in the form.
//!
//! The receiver of spans asks for no token: it only takes.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::pages::plain_page;
use crate::spans::hex;

/// Nothing from elsewhere, no script in the page itself, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'";

/// Turns away foreign hosts and origins, on every route and stream.
pub(crate) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let port = app.settings.port;
    let host = host(request.uri(), request.headers());
    let is_own = |name: &str| {
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name == format!("{own}:{port}"))
    };
    if !host.is_some_and(is_own) {
        return refused("This host name is not the dashboard's.");
    }
    let origins = request.headers().get_all(header::ORIGIN);
    let is_own_origin = |origin: &HeaderValue| {
        origin.to_str().ok().and_then(|text| text.strip_prefix("http://")).is_some_and(is_own)
    };
    if !origins.iter().all(is_own_origin) {
        return refused("This origin is not the dashboard's.");
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without any, browsers send `Origin: null` along with the dashboard's own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The name and port that were asked: of the target in HTTP/2, of the header in HTTP/1. Two that differ
/// are none.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter().map(|host| host.to_str().ok());
    let (named, more) = (named.next(), named.next());
    let target = uri.authority().map(http::uri::Authority::as_str);
    match (target, named) {
        (_, _) if more.is_some() => None,
        (Some(target), None) => Some(target),
        (Some(target), Some(named)) => named.filter(|named| *named == target),
        (None, named) => named.flatten(),
    }
}

/// Lets pass who has the token, and what acts only with the form's.
pub(crate) async fn known(State(app): State<App>, request: Request, next: Next) -> Response {
    let token = &app.settings.token;
    let uri = request.uri();
    let in_url = uri.query().and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "token").then(|| value.into_owned()))
    });
    if let Some(given) = in_url.filter(|_| request.method() == Method::GET) {
        return admitted(&app, uri, &given);
    }
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let cookie = cookie(request.headers(), &cookie_name(app.settings.port));
    if bearer.is_some_and(|given| is_same(given, token)) {
        return next.run(request).await;
    }
    if !cookie.is_some_and(|given| is_same(given, token)) {
        return plain_page(
            StatusCode::UNAUTHORIZED,
            "Not signed in",
            &html! {
                p { "Open the dashboard by the URL that " code { "cargo dev up" } " or "
                    code { "cargo dev status" } " prints: it holds a token." }
            },
        );
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || is_same(form_header(request.headers()), &form_token(token)) {
        return next.run(request).await;
    }
    checked_form(&form_token(token), request, next).await
}

/// What a form sends along, so that a page elsewhere cannot act even where a browser would send the
/// cookie.
pub(crate) fn form_token(token: &str) -> String {
    hex(&Sha256::digest(format!("form:{token}")))
}

fn form_header(headers: &HeaderMap) -> &str {
    headers.get("x-form-token").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The most bytes of a form.
const FORM_MAX: usize = 64 * 1024;

async fn checked_form(expected: &str, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, FORM_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "The form is too large.").into_response();
    };
    let mut fields = url::form_urlencoded::parse(&bytes);
    let given = fields.find_map(|(name, value)| (name == "form_token").then_some(value));
    if !given.is_some_and(|given| is_same(&given, expected)) {
        return refused("The form is not one of this dashboard; load the page again.");
    }
    next.run(Request::from_parts(parts, bytes.into())).await
}

/// Keeps the token of the URL in a cookie, and takes it out of the address bar.
fn admitted(app: &App, uri: &Uri, given: &str) -> Response {
    if !is_same(given, &app.settings.token) {
        return refused("This token is not the running dashboard's; `cargo dev status` prints it.");
    }
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let rest = pairs.filter(|(name, _)| name != "token");
    let rest = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let target =
        if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{rest}", uri.path()) };
    let cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000",
        cookie_name(app.settings.port),
        app.settings.token
    );
    // A path of two slashes would lead elsewhere.
    let target = format!("/{}", target.trim_start_matches('/'));
    ([(header::SET_COOKIE, cookie)], Redirect::to(&target)).into_response()
}

/// Cookies are of a host and not of a port, so that two systems would share one.
fn cookie_name(port: u16) -> String {
    format!("dashboard_{port}")
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

fn is_same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

fn refused(why: &'static str) -> Response {
    (StatusCode::FORBIDDEN, why).into_response()
}
