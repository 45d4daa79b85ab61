//! What is true of every route, said in the document once: a handler names what is its own, all else
//! comes from the layers around it.
//!
//! | a route that | can also answer |
//! |---|---|
//! | is any | 429, 500, 503, and `default`: whatever else, as a problem document |
//! | needs a token | 401, 403 |
//! | has parameters | 400 |
//! | has a body | 400, 408, 413, 415 |
//! | has a JSON body | 422 |

use http::StatusCode;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::Components;
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{OpenApi, Ref, RefOr, Response};
use utoipa::{PartialSchema, ToSchema};

use super::{BEARER, shapes};
use crate::Problem;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";
/// Any other status.
const DEFAULT: &str = "default";

/// What layers answer: status, the component's name, and why.
const ANSWERS: [(&str, &str, &str); 11] = [
    ("400", "BadRequest", "The request could not be read"),
    ("401", "Unauthorized", "There is no token, or it is not valid"),
    ("403", "Forbidden", "The caller may not do this, or the token does not carry the scope"),
    ("408", "RequestTimeout", "The body did not come in time"),
    ("413", "ContentTooLarge", "The body is too large"),
    ("415", "UnsupportedMediaType", "The body's media type is not supported"),
    ("422", "UnprocessableContent", "Some fields are not valid"),
    (
        "429",
        "TooManyRequests",
        "The caller asks more often than it may, or for background work that finds no place",
    ),
    ("500", "InternalServerError", "Something went wrong on our side"),
    ("503", "ServiceUnavailable", "The service cannot do this now"),
    (DEFAULT, "Problem", "Any other fault"),
];

/// Completes the document of an app's routes: every status that can come, the media type of problem
/// documents, the headers, the tags. What handlers say stays. A completed document stays as it is.
#[must_use]
pub fn complete(mut api: OpenApi) -> OpenApi {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = api.components.get_or_insert_default();
    components.schemas.extend(schemas);
    shapes::define(components);
    define(components);

    let mut tags: Vec<Tag> = api.tags.take().unwrap_or_default();
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        complete_operation(operation);
        for name in operation.tags.iter().flatten() {
            if !tags.iter().any(|tag| tag.name == *name) {
                tags.push(Tag::new(name));
            }
        }
    }
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    api.tags = Some(tags);
    let itself = ServerBuilder::new().url("/").description(Some("The service that says this."));
    api.servers.get_or_insert_with(|| vec![itself.build()]);
    api
}

/// Adds the answers of layers to the components.
fn define(components: &mut Components) {
    for (status, name, why) in ANSWERS {
        let mut response = Response::new(why);
        complete_response(status, &mut response);
        components.responses.insert(name.to_owned(), RefOr::T(response));
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

fn complete_operation(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            shapes::of_request(parameter);
        }
    }
    let possible = possible(operation);
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response {
            complete_response(status, response);
        }
    }
    for (status, name, _) in ANSWERS.iter().filter(|(status, ..)| possible.contains(status)) {
        let layers = Ref::new(format!("#/components/responses/{name}"));
        match responses.get_mut(*status) {
            // The handler's body beside that of the layers.
            Some(RefOr::T(said)) => says_problem(said),
            Some(RefOr::Ref(_)) => {}
            None => drop(responses.insert((*status).to_owned(), RefOr::Ref(layers))),
        }
    }
}

/// What the layers around an operation may answer.
fn possible(operation: &Operation) -> Vec<&'static str> {
    let mut statuses = vec!["429", "500", "503", DEFAULT];
    if needs_token(operation) {
        statuses.extend(["401", "403"]);
    }
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        statuses.push("400");
    }
    if let Some(RefOr::T(body)) = &operation.request_body {
        statuses.extend(["400", "408", "413", "415"]);
        statuses.extend(body.content.keys().any(|kind| kind.ends_with("json")).then_some("422"));
    }
    statuses
}

/// Whether one of our own tokens is asked for.
fn needs_token(operation: &Operation) -> bool {
    let asked = serde_json::to_value(&operation.security).unwrap_or_default();
    let asked = asked.as_array().into_iter().flatten();
    asked.into_iter().any(|requirement| requirement.get(BEARER).is_some())
}

/// What an answer of this status always says: why it comes, the problem document, and headers.
fn complete_response(status: &str, response: &mut Response) {
    let code: Option<StatusCode> = status.parse().ok();
    if response.description.is_empty() {
        let reason = code.and_then(|code| code.canonical_reason());
        reason.unwrap_or("As asked").clone_into(&mut response.description);
    }
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(content) = content else { return false };
        matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM_SCHEMA)
    };
    if response.content.get(JSON).is_some_and(is_problem) {
        response.content.shift_remove(JSON);
    }
    let is_fault = code.is_none_or(|code| code.is_client_error() || code.is_server_error());
    if is_fault && response.content.is_empty() {
        says_problem(response);
    }
    let named: Vec<String> = response.headers.keys().cloned().collect();
    let of_status: &[&str] = match status {
        "401" => &["www-authenticate"],
        "429" => &["retry-after", "ratelimit", "ratelimit-policy"],
        "503" => &["retry-after"],
        _ => &[],
    };
    let always = ["x-request-id"].iter().chain(of_status).copied();
    for name in always.chain(named.iter().map(String::as_str)) {
        shapes::carries(response, name);
    }
}

fn says_problem(response: &mut Response) {
    let problem = Content::new(Some(Ref::new(PROBLEM_SCHEMA)));
    response.content.entry(PROBLEM.to_owned()).or_insert(RefOr::T(problem));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::{OpenApi, ToSchema};

    use super::{PROBLEM_SCHEMA, complete};
    use crate::Problem;
    use crate::docs::Bearer;

    #[derive(serde::Deserialize, ToSchema)]
    struct Order {
        #[expect(dead_code, reason = "only described")]
        amount: u32,
    }

    #[utoipa::path(post, path = "/orders/{id}", tag = "orders", request_body = Order,
        params(("id" = String, Path), ("idempotency-key" = String, Header)),
        security(("bearer" = [])), responses(
        (status = 201, headers(("location" = String))),
        (status = 401, body = Problem),
        (status = 409, body = Order, description = "Another order"),
    ))]
    #[expect(dead_code, reason = "only described")]
    fn order() {}

    #[utoipa::path(get, path = "/open", responses((status = 200, body = String)))]
    #[expect(dead_code, reason = "only described")]
    fn open() {}

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(order, open), modifiers(&Bearer))]
    struct Document;

    fn document() -> Value {
        serde_json::to_value(complete(Document::openapi())).unwrap()
    }

    #[test]
    fn an_operation_says_what_the_layers_around_it_may_answer() {
        let document = document();
        let statuses = |path: &str, method: &str| -> Vec<String> {
            let responses = &document["paths"][path][method]["responses"];
            responses.as_object().unwrap().keys().cloned().collect()
        };
        let all = "201 400 401 403 408 409 413 415 422 429 500 503 default";
        assert_eq!(statuses("/orders/{id}", "post").join(" "), all);
        assert_eq!(statuses("/open", "get").join(" "), "200 429 500 503 default");
    }

    #[test]
    fn a_problem_has_its_own_media_type_and_what_the_handler_says_stays() {
        let document = document();
        let responses = &document["paths"]["/orders/{id}"]["post"]["responses"];
        let problem = json!({"application/problem+json": {"schema": {"$ref": PROBLEM_SCHEMA}}});
        assert_eq!(responses["401"]["content"], problem);
        assert_eq!(responses["401"]["description"], "Unauthorized");
        assert_eq!(responses["409"]["description"], "Another order");
        assert!(responses["409"]["content"]["application/json"].is_object());
        assert_eq!(responses["default"]["$ref"], "#/components/responses/Problem");
        assert_eq!(document["components"]["responses"]["Problem"]["content"], problem);
    }

    #[test]
    fn headers_have_shapes() {
        let document = document();
        let order = &document["paths"]["/orders/{id}"]["post"];
        let location = &order["responses"]["201"]["headers"]["location"]["$ref"];
        assert_eq!(location, "#/components/headers/Location");
        assert_eq!(order["parameters"][1]["schema"]["maxLength"], 255);
        let unavailable = &document["components"]["responses"]["ServiceUnavailable"]["headers"];
        assert!(unavailable["retry-after"].is_object() && unavailable["x-request-id"].is_object());
    }

    #[test]
    fn a_completed_document_stays_as_it_is() {
        let once = complete(Document::openapi());
        assert!(complete(once.clone()) == once);
    }
}
