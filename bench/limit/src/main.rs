//! The limit of the benchmark `http`: what axum, sqlx and jsonwebtoken can do when somebody writes
//! three routes by hand and leaves out all that a service in production needs. No logs, no metrics, no
//! traces, no limits, no problem documents, no allocator of its own.
//!
//! | request | work |
//! |---|---|
//! | `GET /api/users/{id}` | verifies the bearer token (HS256, `exp`), reads one row by its key |
//! | `POST /api/users` | verifies the token, inserts a row and its outbox row in one transaction |
//! | `GET /health` | none |
//!
//! `PORT`, `DATABASE_URL` and `JWT_SECRET` come from the environment; the tables are there.
#![allow(clippy::disallowed_methods, reason = "it stands for a service that knows no tusk-config")]

use std::env;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

/// As many as every contestant has.
const CONNECTIONS: u32 = 10;

#[derive(Clone)]
struct Service {
    pool: PgPool,
    tokens: Arc<Verifier>,
}

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

/// Somebody with a valid token.
struct Known;

impl FromRequestParts<Service> for Known {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, StatusCode> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Verifier { key, validation } = &*service.tokens;
        token
            .and_then(|token| jsonwebtoken::decode::<Value>(token, key, validation).ok())
            .map(|_| Self)
            .ok_or(StatusCode::UNAUTHORIZED)
    }
}

#[derive(Serialize, sqlx::FromRow)]
struct User {
    id: Uuid,
    name: String,
    email: String,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct NewUser {
    name: String,
    email: String,
}

async fn show(
    _: Known,
    State(service): State<Service>,
    Path(id): Path<Uuid>,
) -> Result<Json<User>, StatusCode> {
    let user = sqlx::query_as("select id, name, email, created_at from users where id = $1");
    let user = user.bind(id).fetch_optional(&service.pool).await.map_err(failed)?;
    user.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn create(
    _: Known,
    State(service): State<Service>,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), StatusCode> {
    let user =
        User { id: Uuid::new_v4(), name: new.name, email: new.email, created_at: Utc::now() };
    insert(&service.pool, &user).await.map_err(failed)?;
    Ok((StatusCode::CREATED, Json(user)))
}

async fn insert(pool: &PgPool, user: &User) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("insert into users (id, name, email, created_at) values ($1, $2, $3, $4)")
        .bind(user.id)
        .bind(&user.name)
        .bind(&user.email)
        .bind(user.created_at)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into outbox (id, routing_key, body, created_at) values ($1, $2, $3, $4)")
        .bind(Uuid::new_v4())
        .bind("user.created")
        .bind(json!(user))
        .bind(user.created_at)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// The caller learns nothing of a fault.
fn failed(_: sqlx::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::main]
async fn main() -> Result<()> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect(&env::var("DATABASE_URL")?).await?;
    let key = DecodingKey::from_secret(env::var("JWT_SECRET")?.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let routes = Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/api/users", post(create))
        .route("/api/users/{id}", get(show))
        .with_state(Service { pool, tokens: Arc::new(Verifier { key, validation }) });
    let listener = TcpListener::bind(("127.0.0.1", env::var("PORT")?.parse()?)).await?;
    Ok(axum::serve(listener, routes).await?)
}
