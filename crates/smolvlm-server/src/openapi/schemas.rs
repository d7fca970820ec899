//! Schemas of requests and errors.

use crate::request::messages::ROLES;
use crate::request::number::{self, Number};
use crate::request::params::{MAX_STOP_BYTES, MAX_STOPS};
use serde_json::{Map, Value, json};
use smolvlm::{Calibration, Question};

/// Numbers that chat and text completions share.
const SAMPLING: &[Number] = &[
    number::MAX_COMPLETION_TOKENS,
    number::MAX_TOKENS,
    number::MIN_TOKENS,
    number::CHOICES,
    number::TEMPERATURE,
    number::TOP_P,
    number::TOP_K,
    number::MIN_P,
    number::REPETITION_PENALTY,
    number::FREQUENCY_PENALTY,
    number::PRESENCE_PENALTY,
];

const OLLAMA: &[Number] = &[
    number::TEMPERATURE,
    number::TOP_P,
    number::TOP_K,
    number::MIN_P,
    number::REPEAT_PENALTY,
    number::FREQUENCY_PENALTY,
    number::PRESENCE_PENALTY,
];

/// All schemas by name.
pub(super) fn all() -> Value {
    let text = json!({"type": "string"});
    let frame = json!({"type": "string", "minLength": 1});
    let flag = json!({"type": ["boolean", "null"]});
    let token = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let tokens = list(&token);
    let messages = reference("Messages");
    json!({
        "Error": error(json!({
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": text,
                "type": text,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                "n_prompt_tokens": {"type": "integer"},
                "n_ctx": {"type": "integer"},
            },
        })),
        "AnyError": error(json!({})),
        "Messages": {"type": "array", "minItems": 1, "items": reference("Message")},
        "Message": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "role": {"enum": ROLES},
                "content": {"anyOf": [text, {"type": "array", "minItems": 1, "items": reference("Part")}]},
            },
        },
        "Part": {"anyOf": [
            part("text", json!({"text": text})),
            part("image_url", json!({"image_url": url()})),
            part("input_image", json!({"image_url": url()})),
            part("video", json!({"video": {"type": "array", "minItems": 1, "items": frame}})),
        ]},
        "ChatRequest": object(&["messages"], completion(json!({
            "messages": messages,
            "logprobs": flag,
            "top_logprobs": range(&number::TOP_LOGPROBS),
            "tools": {"type": ["array", "null"], "maxItems": 0},
            "tool_choice": {"enum": ["none", "auto", null]},
            "mm_processor_kwargs": reference("MediaOptions"),
            "add_generation_prompt": flag,
            "continue_final_message": flag,
        }))),
        "CompletionRequest": object(&["prompt"], completion(json!({
            "prompt": {"anyOf": [frame, tokens, list(&frame), list(&tokens)]},
            "logprobs": range(&number::LOGPROBS),
            "n_predict": prediction(&number::N_PREDICT),
            "echo": flag,
        }))),
        "DecisionRequest": object(&["messages", "questions"], json!({
            "messages": messages,
            "mm_processor_kwargs": reference("MediaOptions"),
            "questions": {
                "type": "array",
                "minItems": 1,
                "maxItems": Question::MAX_QUESTIONS,
                "items": reference("Question"),
            },
            "calibration": {"type": ["object", "null"], "properties": {
                "yes_no": temperature(),
                "choice": temperature(),
                "number": temperature(),
            }, "additionalProperties": false},
        })),
        "Question": {"anyOf": [
            question("yes_no", &[], json!({})),
            question("choice", &["options"], json!({
                "options": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": Question::MAX_OPTIONS,
                    "items": {"type": "string", "minLength": 1},
                },
            })),
            question("number", &["min", "max"], json!({
                "min": {"type": "number"},
                "max": {"type": "number"},
                "step": {"type": "number", "exclusiveMinimum": 0},
            })),
        ]},
        "MediaOptions": {"type": ["object", "null"], "additionalProperties": false, "properties": {
            "do_image_splitting": flag,
            "size": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {"longest_edge": range(&number::LONGEST_EDGE)},
            },
            "fps": range(&number::FPS),
            "num_frames": range(&number::NUM_FRAMES),
        }},
        "MessagesRequest": object(&["messages"], json!({
            "messages": messages,
            "mm_processor_kwargs": reference("MediaOptions"),
            "add_generation_prompt": flag,
            "continue_final_message": flag,
        })),
        "TokenizeRequest": object(&["content"], json!({"content": text, "add_special": flag, "with_pieces": flag})),
        "DetokenizeRequest": object(&["tokens"], json!({
            "tokens": {"type": "array", "items": token},
        })),
        "OllamaChatRequest": object(&[], json!({
            "messages": {"type": ["array", "null"], "items": {
                "type": "object",
                "required": ["role"],
                "properties": {"role": {"enum": ROLES}, "content": text, "images": images()},
            }},
            "format": ollama_format(),
            "stream": flag,
            "options": reference("OllamaOptions"),
        })),
        "OllamaGenerateRequest": object(&[], json!({
            "prompt": {"type": ["string", "null"]},
            "system": {"type": ["string", "null"]},
            "images": images(),
            "raw": flag,
            "format": ollama_format(),
            "stream": flag,
            "options": reference("OllamaOptions"),
        })),
        "OllamaShowRequest": object(&[], json!({"model": {}})),
        "OllamaOptions": {"type": ["object", "null"], "properties": with(numbers(OLLAMA), json!({
            "seed": {"type": ["integer", "null"]},
            "stop": stop(),
            "num_predict": prediction(&number::NUM_PREDICT),
        }))},
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A list that is not empty.
fn list(item: &Value) -> Value {
    json!({"type": "array", "items": item, "minItems": 1})
}

fn error(error: Value) -> Value {
    json!({"type": "object", "required": ["error"], "properties": {"error": error}})
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// A question of a kind with fields besides its text.
fn question(kind: &str, required: &[&str], fields: Value) -> Value {
    let shared = json!({"type": {"const": kind}, "question": {"type": "string", "minLength": 1}});
    object(&[&["type", "question"], required].concat(), with(shared, fields))
}

/// The temperature of a kind of question.
fn temperature() -> Value {
    let [min, max] = Calibration::TEMPERATURES;
    json!({"type": "number", "minimum": min, "maximum": max})
}

/// The fields of a completion besides its own.
fn completion(own: Value) -> Value {
    let flag = json!({"type": ["boolean", "null"]});
    let shared = json!({
        "model": {},
        "seed": {"type": ["integer", "null"], "minimum": i64::MIN, "maximum": u64::MAX},
        "stop": stop(),
        "logit_bias": {
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[0-9]{1,5}$"},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
        },
        "skip_special_tokens": flag,
        "ignore_eos": flag,
        "stream": flag,
        "stream_options": {"type": ["object", "null"], "properties": {"include_usage": flag}},
    });
    with(with(with(numbers(SAMPLING), shared), constraints()), own)
}

/// The fields that say what an answer must match, of which at most one is set.
fn constraints() -> Value {
    let text = json!({"type": ["string", "null"]});
    let schema = json!({"type": ["object", "string", "boolean", "null"]});
    let choice = json!({"type": ["array", "null"], "minItems": 1, "items": {"type": "string", "minLength": 1}});
    json!({
        "response_format": {
            "type": ["object", "null"],
            "required": ["type"],
            "properties": {
                "type": {"enum": ["text", "json_object", "json_schema"]},
                "json_schema": {"type": ["object", "null"]},
            },
        },
        "json_schema": schema,
        "grammar": {"type": ["string", "null"], "pattern": "^(\\s*%llguidance|$)"},
        "guided_json": schema,
        "guided_regex": text,
        "guided_choice": choice,
        "guided_grammar": text,
        "structured_outputs": {"type": ["object", "null"], "properties": {
            "json": schema,
            "json_object": {"type": ["boolean", "null"]},
            "regex": text,
            "choice": choice,
            "grammar": text,
        }},
    })
}

/// What an answer must match, in Ollama's form.
fn ollama_format() -> Value {
    json!({"anyOf": [{"enum": ["json", "", null]}, {"type": "object"}]})
}

fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn numbers(numbers: &[Number]) -> Value {
    numbers.iter().map(|number| (number.name.to_owned(), range(number))).collect::<Map<_, _>>().into()
}

fn range(number: &Number) -> Value {
    let kind = if number.integer { "integer" } else { "number" };
    json!({"type": [kind, "null"], "minimum": number.min, "maximum": number.max})
}

/// A limit of tokens, where negative numbers are none.
fn prediction(number: &Number) -> Value {
    with(range(number), json!({"not": {"const": 0}}))
}

fn stop() -> Value {
    let text = json!({"type": "string", "maxLength": MAX_STOP_BYTES});
    json!({"anyOf": [text, {"type": "array", "items": text, "maxItems": MAX_STOPS}, {"type": "null"}]})
}

fn url() -> Value {
    let url = json!({"type": "string", "minLength": 1});
    let detail = json!({"enum": ["low", "high", "original", "auto", null]});
    json!({"anyOf": [url, object(&["url"], json!({"url": url, "detail": detail}))]})
}

fn part(kind: &str, mut fields: Value) -> Value {
    let names: Vec<String> = fields.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    fields["type"] = json!({"const": kind});
    let mut part = json!({"type": "object", "properties": fields});
    part["required"] = json!([&names[..], &["type".to_owned()]].concat());
    part
}

/// Images of Ollama, in base64.
fn images() -> Value {
    json!({"type": ["array", "null"], "items": {"type": "string", "contentEncoding": "base64"}})
}
