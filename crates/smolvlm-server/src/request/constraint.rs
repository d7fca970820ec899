//! What the answer must match, in the names of OpenAI, vLLM and llama.cpp.

use crate::api_error::ApiError;
use crate::request::fields::{Fields, problem};
use serde::Deserialize;
use serde_json::Value;
use smolvlm::Constraint;

/// The start of a grammar in llama.cpp's field `grammar` that is not in its own syntax.
const LARK: &str = "%llguidance";

/// A constraint and the field that sets it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldConstraint {
    pub(crate) field: String,
    pub(crate) constraint: Constraint,
}

/// A JSON schema as an object, or as a string that holds one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Schema {
    Text(String),
    Value(Value),
}

/// Takes the constraint of a request; none if it asks for any text.
pub(crate) fn parse(fields: &mut Fields<'_>) -> Result<Option<FieldConstraint>, ApiError> {
    let mut found = Vec::new();
    let mut add = |field: &str, constraint: Option<Constraint>| {
        found.extend(constraint.map(|constraint| FieldConstraint { field: field.to_owned(), constraint }));
    };
    add("response_format", response_format(fields)?);
    add("json_schema", schema(fields, "json_schema")?);
    add("grammar", grammar(fields)?);
    add("guided_json", schema(fields, "guided_json")?);
    add("guided_regex", text(fields, "guided_regex")?.map(Constraint::Regex));
    add("guided_choice", choices(fields, "guided_choice")?);
    add("guided_grammar", text(fields, "guided_grammar")?.map(Constraint::Lark));
    let mut outputs = fields.object("structured_outputs", "structured_outputs.")?;
    add("structured_outputs.json", schema(&mut outputs, "json")?);
    add("structured_outputs.regex", text(&mut outputs, "regex")?.map(Constraint::Regex));
    add("structured_outputs.choice", choices(&mut outputs, "choice")?);
    add("structured_outputs.grammar", text(&mut outputs, "grammar")?.map(Constraint::Lark));
    if outputs.raw("structural_tag").is_some() {
        return Err(outputs.invalid("structural_tag", "is not supported").code("unsupported"));
    }
    let is_object = outputs.flag("json_object")? == Some(true);
    add("structured_outputs.json_object", is_object.then(Constraint::json_object));
    match found.as_slice() {
        [first, second, ..] => Err(ApiError::param(&second.field, format!("excludes {}", first.field))),
        _ => Ok(found.pop()),
    }
}

/// Takes Ollama's `format`: `json`, or a JSON schema.
pub(crate) fn format(fields: &mut Fields<'_>) -> Result<Option<FieldConstraint>, ApiError> {
    let format: Option<Value> = fields.take("format", "a JSON schema")?;
    let constraint = match format {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) if text == "json" => Constraint::json_object(),
        Some(schema @ Value::Object(_)) => Constraint::JsonSchema(schema),
        Some(_) => return Err(fields.invalid("format", "must be json or a JSON schema")),
    };
    Ok(Some(FieldConstraint { field: "format".to_owned(), constraint }))
}

/// OpenAI's format; llama.cpp has the schema beside the type.
fn response_format(fields: &mut Fields<'_>) -> Result<Option<Constraint>, ApiError> {
    #[derive(Deserialize)]
    struct Format {
        r#type: String,
        schema: Option<Value>,
        json_schema: Option<JsonSchema>,
    }
    #[derive(Deserialize)]
    struct JsonSchema {
        schema: Option<Value>,
    }
    let name = "response_format";
    let legal = "an object with the type text, json_object or json_schema";
    let Some(Format { r#type, schema, json_schema }) = fields.take(name, legal)? else { return Ok(None) };
    match r#type.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(schema.map_or_else(Constraint::json_object, Constraint::JsonSchema))),
        "json_schema" => match json_schema.and_then(|json_schema| json_schema.schema).or(schema) {
            Some(schema) => Ok(Some(Constraint::JsonSchema(schema))),
            None => {
                Err(fields.invalid(name, "has no schema; it must be {\"type\": .., \"json_schema\": {\"schema\": ..}}"))
            }
        },
        _ => Err(fields.invalid(name, format!("must be {legal}"))),
    }
}

fn schema(fields: &mut Fields<'_>, name: &str) -> Result<Option<Constraint>, ApiError> {
    let legal = "a JSON schema";
    Ok(match fields.take(name, legal)? {
        None => None,
        Some(Schema::Text(text)) if text.is_empty() => None,
        Some(Schema::Text(text)) => match serde_json::from_str(&text) {
            Ok(schema) => Some(Constraint::JsonSchema(schema)),
            Err(error) => return Err(fields.invalid(name, problem(&error, legal))),
        },
        Some(Schema::Value(schema)) => Some(Constraint::JsonSchema(schema)),
    })
}

/// llama.cpp's grammar. Its own syntax, GBNF, and grammars that start at a trigger are not supported.
fn grammar(fields: &mut Fields<'_>) -> Result<Option<Constraint>, ApiError> {
    if fields.flag("grammar_lazy")? == Some(true) {
        return Err(ApiError::unsupported("grammar_lazy", "is not supported; a grammar starts at the first token"));
    }
    match text(fields, "grammar")? {
        Some(text) if !text.trim_start().starts_with(LARK) => {
            let problem = "must start with %llguidance and be in Lark syntax; GBNF is not supported";
            Err(fields.invalid("grammar", problem).code("unsupported"))
        }
        text => Ok(text.map(Constraint::Lark)),
    }
}

fn text(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>, ApiError> {
    Ok(fields.take::<String>(name, "a string")?.filter(|text| !text.is_empty()))
}

fn choices(fields: &mut Fields<'_>, name: &str) -> Result<Option<Constraint>, ApiError> {
    Ok(fields.take::<Vec<String>>(name, "a list of strings")?.map(Constraint::Choices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(body: Value) -> Result<Option<FieldConstraint>, ApiError> {
        let body = body.to_string();
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        parse(&mut fields)
    }

    #[test]
    fn constraints_have_the_names_of_all_apis() {
        let schema = json!({"type": "null"});
        let json = Constraint::JsonSchema(schema.clone());
        let regex = Constraint::Regex("a+".to_owned());
        let lark = Constraint::Lark("start: \"a\"".to_owned());
        let choices = Constraint::choices(["a", "b"]);
        for (field, body, expected) in [
            ("response_format", json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}), &json),
            ("response_format", json!({"type": "json_object", "schema": schema}), &json),
            ("response_format", json!({"type": "json_object"}), &Constraint::json_object()),
            ("json_schema", schema.clone(), &json),
            ("guided_json", schema.clone(), &json),
            ("guided_json", json!(schema.to_string()), &json),
            ("guided_regex", json!("a+"), &regex),
            ("guided_grammar", json!("start: \"a\""), &lark),
            ("guided_choice", json!(["a", "b"]), &choices),
        ] {
            let found = parsed(json!({field: body})).unwrap().unwrap();
            assert_eq!((found.field.as_str(), &found.constraint), (field, expected));
        }
        for (field, value, expected) in [
            ("json", schema, &json),
            ("regex", json!("a+"), &regex),
            ("grammar", json!("start: \"a\""), &lark),
            ("choice", json!(["a", "b"]), &choices),
            ("json_object", json!(true), &Constraint::json_object()),
        ] {
            let found = parsed(json!({"structured_outputs": {field: value}})).unwrap().unwrap();
            assert_eq!((found.field, &found.constraint), (format!("structured_outputs.{field}"), expected));
        }
    }

    #[test]
    fn schemas_that_are_nested_too_deep_are_errors_that_say_so() {
        let schema = format!("{}{{}}{}", "{\"not\": ".repeat(200), "}".repeat(200));
        for (field, value) in [
            ("response_format", format!("{{\"type\": \"json_object\", \"schema\": {schema}}}")),
            ("json_schema", schema.clone()),
            ("guided_json", json!(schema).to_string()),
        ] {
            let body = format!("{{\"{field}\": {value}}}");
            let error = parse(&mut Fields::parse(body.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(error.message, format!("{field} is nested too deep"));
        }
        let body = format!("{{\"format\": {schema}}}");
        let error = format(&mut Fields::parse(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.message, "format is nested too deep");
    }

    #[test]
    fn empty_fields_ask_for_any_text() {
        for body in [
            json!({}),
            json!({"response_format": {"type": "text"}, "json_schema": "", "grammar": "", "guided_json": null}),
            json!({"structured_outputs": {}}),
        ] {
            assert_eq!(parsed(body), Ok(None));
        }
    }

    #[test]
    fn invalid_fields_are_named() {
        for (body, param) in [
            (json!({"response_format": {"type": "xml"}}), "response_format"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format"),
            (json!({"grammar": "root ::= \"a\""}), "grammar"),
            (json!({"guided_json": "{"}), "guided_json"),
            (json!({"guided_choice": "a"}), "guided_choice"),
            (json!({"structured_outputs": {"regex": 7}}), "structured_outputs.regex"),
            (json!({"guided_regex": "a", "guided_choice": ["a"]}), "guided_choice"),
            (json!({"structured_outputs": {"structural_tag": "{}"}}), "structured_outputs.structural_tag"),
            (json!({"grammar": "%llguidance {}\nstart: \"a\"", "grammar_lazy": true}), "grammar_lazy"),
        ] {
            assert_eq!(parsed(body).unwrap_err().param.as_deref(), Some(param));
        }
    }
}
