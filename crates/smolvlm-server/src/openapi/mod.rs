//! `GET /openapi.json`: the description of the API, with the limits that requests are checked against.

mod schemas;

use axum::Json;
use serde_json::{Map, Value, json};

/// A route.
struct Route {
    /// Path with parameters in braces.
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// Name of the request's schema.
    request: Option<&'static str>,
    /// Media type of the response; several for responses that may be streamed.
    responses: &'static [&'static str],
}

const JSON: &[&str] = &["application/json"];
const EVENTS: &[&str] = &["application/json", "text/event-stream"];
const LINES: &[&str] = &["application/json", "application/x-ndjson"];
const TEXT: &[&str] = &["text/plain"];

const fn get(path: &'static str, summary: &'static str, responses: &'static [&'static str]) -> Route {
    Route { path, method: "get", summary, request: None, responses }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    request: &'static str,
    responses: &'static [&'static str],
) -> Route {
    Route { path, method: "post", summary, request: Some(request), responses }
}

/// Routes with and without `/v1` in front.
const VERSIONED: &[Route] = &[
    post("/chat/completions", "Answer a conversation with images", "ChatRequest", EVENTS),
    post(
        "/chat/completions/input_tokens",
        "Count the tokens and tiles of a conversation, and estimate its time",
        "MessagesRequest",
        JSON,
    ),
    post("/completions", "Continue texts, without the chat template", "CompletionRequest", EVENTS),
    post("/decisions", "Probabilities of the known answers to questions", "DecisionRequest", JSON),
    get("/models", "The model", JSON),
    get("/models/{id}", "The model, by its name", JSON),
    get("/health", "Whether requests are accepted; needs no key", JSON),
    post("/tokenize", "Tokens of a text", "TokenizeRequest", JSON),
    post("/detokenize", "Text of tokens", "DetokenizeRequest", JSON),
    post("/apply-template", "The prompt of a conversation", "MessagesRequest", JSON),
    get("/props", "Properties of the model and the server", JSON),
];

/// Routes with one path.
const OTHERS: &[Route] = &[
    get("/metrics", "Metrics for Prometheus", TEXT),
    post("/api/chat", "Answer a conversation with images (Ollama)", "OllamaChatRequest", LINES),
    post("/api/generate", "Answer a text with images (Ollama)", "OllamaGenerateRequest", LINES),
    get("/api/tags", "The model (Ollama)", JSON),
    get("/api/ps", "The model in memory (Ollama)", JSON),
    post("/api/show", "Properties of the model (Ollama)", "OllamaShowRequest", JSON),
    get("/api/version", "Version of the server (Ollama)", JSON),
    get("/openapi.json", "This description", JSON),
];

/// Statuses of errors that all routes share.
const ERRORS: &[(&str, &str)] = &[
    ("400", "Invalid request"),
    ("401", "Missing or wrong API key"),
    ("403", "Host name or origin that is not allowed"),
    ("404", "Unknown path or model"),
    ("408", "The body did not arrive in time"),
    ("413", "The request is too large"),
    ("422", "Media that cannot be fetched"),
    ("429", "The queue is full"),
    ("500", "Failure of the server"),
    ("503", "The model is loading, or the server is stopping or busy"),
    ("504", "The time limit of requests"),
];

pub(crate) async fn describe() -> Json<Value> {
    Json(document())
}

fn document() -> Value {
    let mut paths = Map::new();
    for route in VERSIONED {
        paths.insert(format!("/v1{}", route.path), operation(route));
        paths.insert(route.path.to_owned(), operation(route));
    }
    for route in OTHERS {
        paths.insert(route.path.to_owned(), operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "smolvlm",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "SmolVLM models with the APIs of OpenAI, Ollama and llama.cpp.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas::all(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let content = |types: &[&str], schema: Value| -> Value {
        types.iter().map(|&media| (media.to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
    };
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    // Ollama's errors are strings.
    let error = if route.path.starts_with("/api/") { "AnyError" } else { "Error" };
    let mut responses = Map::new();
    responses
        .insert("200".to_owned(), json!({"description": "Success", "content": content(route.responses, json!({}))}));
    for (status, description) in ERRORS {
        let response = json!({"description": description, "content": content(JSON, reference(error))});
        responses.insert((*status).to_owned(), response);
    }
    let mut operation = json!({"summary": route.summary, "responses": responses});
    if let Some(request) = route.request {
        operation["requestBody"] = json!({"required": true, "content": content(JSON, reference(request))});
    }
    if route.path.contains("{id}") {
        operation["parameters"] = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]);
    }
    json!({route.method: operation})
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::router::paths;
    use serde_json::Value;

    #[test]
    fn every_route_is_described() {
        let document = document();
        let described = document["paths"].as_object().unwrap();
        let mut routes: Vec<String> = paths().iter().map(|path| path.replace("{*id}", "{id}")).collect();
        routes.sort();
        let mut described: Vec<String> = described.keys().cloned().collect();
        described.sort();
        assert_eq!(described, routes);
    }

    #[test]
    fn references_are_defined() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut open = vec![&document];
        let mut found = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => open.extend(object.values()),
                Value::Array(list) => open.extend(list),
                Value::String(text) => {
                    if let Some(name) = text.strip_prefix("#/components/schemas/") {
                        assert!(schemas.contains_key(name), "{name}");
                        found += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(found > 20);
    }
}
