//! An external issuer in this process, made to OpenID Connect: its page, its token endpoint, its keys; with real
//! signatures, and faults that a test asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::Clock;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

pub(crate) const CLIENT: &str = "tusk";
pub(crate) const SECRET: &str = "the issuer's secret: of ours?";
pub(crate) const REDIRECT: &str = "https://app.example.com/back";

/// The issuer; clones are one.
#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    keys: Vec<(String, Algorithm, EncodingKey)>,
    /// What was granted, by code.
    grants: HashMap<String, Grant>,
    /// How the token endpoint answers.
    mood: Mood,
    /// Whether its answers to browsers name it.
    sends_issuer: bool,
    /// Whether its keys can be read.
    shows_keys: bool,
    keys_read: usize,
    tokens_asked: usize,
}

/// How an endpoint answers.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    Well,
    Hangs,
    Fails,
    Endless,
    /// It says that something of the request is missing.
    Misses,
    SendsTo(String),
}

/// What the user of the page has agreed to.
struct Grant {
    query: HashMap<String, String>,
    id_token: String,
}

/// Who signs in at the issuer's page.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) email: String,
}

/// What the browser brings back.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) code: String,
    pub(crate) state: String,
}

/// How an ID token is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signed {
    /// With the newest key.
    Well,
    /// Not at all: `alg` is `none`.
    Not,
    /// With HMAC, whose secret is the public key that everybody can read.
    ByPublicKey,
    /// With a key that the issuer does not show, under the name of one that it does.
    ByAnother,
}

impl Person {
    /// Somebody whom nobody has seen before.
    pub(crate) fn new() -> Self {
        let subject = Uuid::now_v7().simple().to_string();
        Self { email: format!("{subject}@elsewhere.example.com"), subject }
    }
}

impl Issuer {
    /// One with a key for RS256.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            keys: vec![rsa("first")],
            grants: HashMap::new(),
            mood: Mood::Well,
            sends_issuer: true,
            shows_keys: true,
            keys_read: 0,
            tokens_asked: 0,
        };
        let issuer = Self { url, state: Arc::new(Mutex::new(inner)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    /// What a service needs to know of it.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("EXTERNAL_ISSUER_URL", self.url.as_str()),
            ("EXTERNAL_ISSUER_CLIENT_ID", CLIENT),
            ("EXTERNAL_ISSUER_CLIENT_SECRET", SECRET),
            ("EXTERNAL_ISSUER_REDIRECT_URI", REDIRECT),
        ]
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }

    pub(crate) fn answers(&self, mood: Mood) {
        self.inner().mood = mood;
    }

    pub(crate) fn shows_keys(&self, shows: bool) {
        self.inner().shows_keys = shows;
    }

    /// Signs with another key from now on, and shows no other.
    pub(crate) fn rotate(&self, kid: &str) {
        self.inner().keys = vec![ec(kid)];
    }

    pub(crate) fn keys_read(&self) -> usize {
        self.inner().keys_read
    }

    pub(crate) fn tokens_asked(&self) -> usize {
        self.inner().tokens_asked
    }

    /// A person signs in at the page to which a browser was sent, and agrees.
    pub(crate) fn agrees(&self, url: &str, person: &Person) -> Callback {
        self.says(url, person, Signed::Well, |_| {})
    }

    /// The same, with an ID token that says something else, or is signed otherwise.
    pub(crate) fn says(
        &self,
        url: &str,
        person: &Person,
        signed: Signed,
        otherwise: impl FnOnce(&mut Value),
    ) -> Callback {
        let url = Url::parse(url).unwrap();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.url)), "{url}");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", REDIRECT),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(query[name], value, "{name}");
        }
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let now = Clock::system().now().timestamp();
        let mut claims = json!({
            "iss": self.url, "aud": CLIENT, "sub": person.subject, "nonce": query["nonce"],
            "iat": now, "exp": now + 300, "email": person.email, "email_verified": true,
            "name": "Grace Hopper",
        });
        otherwise(&mut claims);
        let id_token = self.signed(&claims, signed);
        let code = Uuid::now_v7().simple().to_string();
        let state = query["state"].clone();
        self.inner().grants.insert(code.clone(), Grant { query, id_token });
        Callback { code, state }
    }

    fn signed(&self, claims: &Value, signed: Signed) -> String {
        let inner = self.inner();
        let (kid, algorithm, key) = inner.keys.last().unwrap();
        let header = |algorithm| Header { kid: Some(kid.clone()), ..Header::new(algorithm) };
        match signed {
            Signed::Well => jsonwebtoken::encode(&header(*algorithm), claims, key).unwrap(),
            Signed::Not => {
                let header = json!({"alg": "none", "typ": "JWT", "kid": kid});
                let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
                format!("{}.{}.", part(&header), part(claims))
            }
            Signed::ByPublicKey => {
                let public = serde_json::to_vec(&public(&inner.keys)["keys"][0]).unwrap();
                let key = EncodingKey::from_secret(&public);
                jsonwebtoken::encode(&header(Algorithm::HS256), claims, &key).unwrap()
            }
            Signed::ByAnother => {
                let (_, algorithm, key) = ec("another");
                jsonwebtoken::encode(&header(algorithm), claims, &key).unwrap()
            }
        }
    }
}

fn rsa(kid: &str) -> (String, Algorithm, EncodingKey) {
    use aws_lc_rs::encoding::AsDer;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let key = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = pem("PRIVATE KEY", key.as_ref());
    (kid.to_owned(), Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
}

fn ec(kid: &str) -> (String, Algorithm, EncodingKey) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    (kid.to_owned(), Algorithm::ES256, EncodingKey::from_ec_der(key.as_ref()))
}

fn pem(kind: &str, der: &[u8]) -> String {
    let lines: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

fn public(keys: &[(String, Algorithm, EncodingKey)]) -> Value {
    let of = |(kid, algorithm, key): &(String, Algorithm, EncodingKey)| {
        let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
        jwk.common.key_id = Some(kid.clone());
        serde_json::to_value(jwk).unwrap()
    };
    let keys: Vec<Value> = keys.iter().map(of).collect();
    // Of a kind that nobody knows: it stands beside the others.
    let odd = json!({"kty": "lattice", "kid": "odd", "alg": "ML-DSA-65", "pub": "AA"});
    let keys: Vec<Value> = keys.into_iter().chain([odd]).collect();
    json!({ "keys": keys })
}

async fn metadata(State(issuer): State<Issuer>) -> Json<Value> {
    let url = &issuer.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "authorization_response_iss_parameter_supported": issuer.inner().sends_issuer,
    }))
}

async fn keys(State(issuer): State<Issuer>) -> Response {
    let mut inner = issuer.inner();
    inner.keys_read += 1;
    if !inner.shows_keys {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(public(&inner.keys)).into_response()
}

async fn token(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mood = {
        let mut inner = issuer.inner();
        inner.tokens_asked += 1;
        inner.mood.clone()
    };
    match mood {
        Mood::Well => granted(&issuer, &headers, &form),
        Mood::Hangs => std::future::pending().await,
        Mood::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Misses => {
            (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_request"}))).into_response()
        }
        Mood::Endless => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, format!("{{\"access_token\":\"{}\"}}", "x".repeat(10 << 20))).into_response()
        }
        Mood::SendsTo(url) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response()
        }
    }
}

/// The ID token, once, for whoever knows the client's secret and the verifier.
fn granted(issuer: &Issuer, headers: &HeaderMap, form: &HashMap<String, String>) -> Response {
    let refuse = |error: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({"error": error, "error_description": "no"})))
            .into_response()
    };
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let client = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown != Some(&format!("Basic {client}")) {
        return refuse("invalid_client");
    }
    let Some(grant) = issuer.inner().grants.remove(&form["code"]) else {
        return refuse("invalid_grant");
    };
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
    let is_right = form["grant_type"] == "authorization_code"
        && form["redirect_uri"] == grant.query["redirect_uri"]
        && URL_SAFE_NO_PAD.encode(digest) == grant.query["code_challenge"];
    if !is_right {
        return refuse("invalid_grant");
    }
    let answer = json!({
        "access_token": "of no use here", "token_type": "Bearer", "expires_in": 300,
        "id_token": grant.id_token,
    });
    Json(answer).into_response()
}
